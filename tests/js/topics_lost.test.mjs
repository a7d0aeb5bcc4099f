// topics.js against a small server in memory: presence, and that what is promised holds wherever a connection is lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Topics } from '../../clients/js/topics.js';
import { Hub, collector, numbers, quiet, range, start, until, watcher } from './topic_hub.mjs';

test('presence: who is there, who comes, who leaves', async (t) => {
  const { hub, topics } = start(t);
  const other = new Topics(hub.client(t));
  await other.join('room', 'bob');
  const [first, second] = [watcher(), watcher()];
  assert.deepEqual(await topics.watch('room', first), ['bob']);
  await topics.join('room', 'alice');
  await until(() => first.log.length === 2);
  assert.deepEqual(await topics.watch('room', second), ['bob', 'alice']);
  await topics.join('room', 'carol'); // in place of alice
  await until(() => first.log.length === 4);
  await other.leave('room');
  await until(() => first.log.length === 5);
  assert.deepEqual(first.log, ['+bob', '+alice', '-alice', '+carol', '-bob']);
  assert.deepEqual(second.log, first.log);
  assert.deepEqual(topics.members('room'), ['carol']);
  await topics.unwatch('room', first);
  assert.equal(hub.ofType('unwatch').length, 0, 'somebody still listens');
  await topics.unwatch('room');
  assert.deepEqual([hub.ofType('unwatch').length, topics.members('room')], [1, []]);
  await topics.leave('room');
  await topics.leave('room');
  assert.equal(hub.ofType('leave').length, 2);
});

test('presence: messages that come before the list are newer than it', async (t) => {
  const { hub, topics } = start(t);
  hub.answers.set('watch', (connection, request) => {
    connection.send({ type: 'presence', topic: 'room', member: 'gone', present: false });
    connection.send({ type: 'presence', topic: 'room', member: 'new', present: true });
    connection.answer(request, { members: ['gone', 'there'] });
  });
  const listener = watcher();
  assert.deepEqual((await topics.watch('room', listener)).sort(), ['new', 'there']);
  assert.deepEqual(listener.log, ['+new', '+there']);
});

test('presence: after a reconnect memberships and watches are as before, and only true changes are told', async (t) => {
  const { hub, topics } = start(t, {}, { settle: 40 });
  hub.others.set('room', ['near', 'far', 'leaves', 'returns']);
  const listener = watcher();
  await topics.join('room', 'me');
  await topics.watch('room', listener);
  await quiet();
  listener.log.length = 0;
  // The next server learns of those elsewhere one by one.
  hub.others.set('room', ['near']);
  hub.drop();
  await until(() => hub.ofType('watch').length === 2);
  await quiet();
  for (const member of ['far', 'fresh', 'returns']) hub.presence('room', member, true);
  hub.presence('room', 'returns', false);
  await quiet();
  assert.deepEqual(listener.log, ['+fresh', '-returns'], 'no doubt is told yet');
  await new Promise((resolve) => setTimeout(resolve, 80));
  assert.deepEqual(listener.log, ['+fresh', '-returns', '-leaves']);
  assert.deepEqual(topics.members('room').sort(), ['far', 'fresh', 'me', 'near']);
  assert.deepEqual(hub.members('room'), ['me', 'near']);
});

// ------------------------------------------------------------------------------------------------------------- every point

const PUBLISHED = 12;

// Two overlapping subscriptions with several messages on their way, publications of our own, presence; and one cut.
async function scenario(t, cut) {
  const hub = new Hub();
  const socket = hub.client(t);
  const topics = new Topics(socket, { settle: 1 });
  hub.cut = cut;
  const [wide, narrow, presence] = [collector(), collector(), watcher()];
  const settled = [];
  const missed = [];
  topics.addEventListener('missed', (event) => missed.push(event));
  const subscribed = [topics.subscribe('d.>', wide, { after: 0 }), topics.subscribe('d.1', narrow, { after: 0 }), topics.join('room', 'me'),
    topics.watch('room', presence)];
  for (let number = 1; number <= PUBLISHED; ++number) {
    topics.publish(`d.${number % 2}`, `own ${number}`, { once: true }).then((result) => settled.push([number, result.sequence]));
    hub.publish(`d.${number % 2}`, `other ${number}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(subscribed);
  await until(() => settled.length === PUBLISHED && topics.position('d.>') === 2 * PUBLISHED && topics.position('d.1') >= hub.log.findLast(({ topic }) => topic === 'd.1').sequence,
    `all (cut ${JSON.stringify(cut)})`);
  await quiet();
  const what = JSON.stringify(cut);
  assert.equal(hub.log.length, 2 * PUBLISHED, `nothing is stored twice (${what})`);
  assert.deepEqual(settled.map(([number]) => number).sort((a, b) => a - b), range(1, PUBLISHED), what);
  for (const [number, sequence] of settled) assert.equal(hub.log[sequence - 1].data, `own ${number}`, what);
  assert.deepEqual(wide.got, hub.log.map(({ topic, data, sequence }) => [topic, data, sequence]), what);
  assert.deepEqual(narrow.got, wide.got.filter(([topic]) => topic === 'd.1'), what);
  assert.equal(missed.length, 0, what);
  await until(() => hub.members('room').length === 1 && topics.members('room').length === 1, `presence (${what})`);
  socket.close();
  return hub.messages;
}

test('a connection lost at every point: nothing lost, nothing twice, all answered', async (t) => {
  const messages = await scenario(t, null);
  assert.ok(messages > 60, `${messages} messages`);
  for (let at = 1; at <= messages + 10; ++at) {
    for (const delivered of [false, true]) await scenario(t, { at, delivered });
  }
  t.diagnostic(`${2 * (messages + 10)} cuts`);
});

test('a connection lost again and again', async (t) => {
  for (const every of [3, 7, 11, 17, 29]) {
    const hub = new Hub();
    const socket = hub.client(t);
    const topics = new Topics(socket);
    const listener = collector();
    const subscribed = topics.subscribe('d.>', listener, { after: 0 });
    const results = [];
    for (let number = 1; number <= 40; ++number) {
      results.push(topics.publish('d.1', number, { once: true }));
      hub.cut = { at: hub.messages + every, delivered: number % 2 === 0 };
      await quiet();
    }
    hub.cut = null;
    await subscribed;
    await Promise.all(results);
    await until(() => listener.got.length === 40);
    assert.deepEqual(listener.got.map(([, data]) => data), range(1, 40));
    assert.deepEqual(numbers(listener), range(1, 40));
    socket.close();
  }
});
