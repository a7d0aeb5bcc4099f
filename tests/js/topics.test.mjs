// topics.js against a small server in memory: subscriptions, replays, publications, and what a new connection is asked for.
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { TopicError, matches } from '../../clients/js/topics.js';
import { collector, numbers, quiet, range, start, until } from './topic_hub.mjs';

const rejects = (promise, code) => assert.rejects(promise, (error) => error instanceof TopicError && error.code === code);

test('patterns match as NATS matches them', () => {
  for (const [pattern, topic, wanted] of [['a.*', 'a.b', true], ['a.*', 'a.b.c', false], ['a.>', 'a.b.c', true], ['a.>', 'a', false], ['>', 'a', true],
    ['a', 'b', false], ['*.b', 'a.b', true], ['a.*.c', 'a.b.c', true], ['*', 'a.b', false]]) {
    assert.equal(matches(pattern, topic), wanted, `${pattern} ${topic}`);
  }
});

test('plain topics: nothing waits, nothing is resumed', async (t) => {
  const { hub, topics, socket } = start(t);
  await rejects(topics.publish('p.1', 1), 'disconnected');
  const listener = collector();
  await topics.subscribe('p.*', listener);
  assert.deepEqual(await topics.publish('p.1', { a: 1 }), { reached: 1, refused: 0, crossed: true });
  assert.equal(topics.position('p.*'), undefined);
  hub.drop();
  await until(() => socket.readyState === 1 && hub.ofType('subscribe').length === 2);
  assert.deepEqual(hub.ofType('subscribe').map(({ after }) => after), [undefined, undefined]);
  await rejects(topics.publish('p.1', 1, { once: true }), 'not_durable');
  assert.deepEqual(listener.got, [['p.1', { a: 1 }, undefined]]);
});

test('what was published while the client was away is replayed, in order and once', async (t) => {
  const { hub, topics } = start(t);
  const listener = collector();
  hub.publish('d.1', 'before');
  await topics.subscribe('d.*', listener);
  assert.equal(topics.position('d.*'), 1, 'the position is known before anything came');
  hub.publish('d.1', 'two');
  await until(() => listener.got.length === 1);
  hub.drop();
  for (const data of ['three', 'four']) hub.publish('d.2', data);
  hub.publish('d.2.x', 'of another topic');
  await until(() => topics.position('d.*') === 5);
  assert.deepEqual(listener.got, [['d.1', 'two', 2], ['d.2', 'three', 3], ['d.2', 'four', 4]]);
  assert.equal(hub.requests.at(-1).after, 2);
  hub.drop();
  await until(() => hub.requests.at(-1).after === 5, 'the acknowledgement moves the position too');
});

test('nothing came before the connection was lost: the acknowledgement tells the position', async (t) => {
  const { hub, topics } = start(t);
  const listener = collector();
  await topics.subscribe('d.1', listener);
  hub.drop();
  hub.publish('d.1', 'while away');
  await until(() => listener.got.length === 1);
  assert.equal(hub.ofType('subscribe')[1].after, 0);
});

test('an older position goes on after it', async (t) => {
  const { hub, topics } = start(t);
  for (const number of range(1, 9)) hub.publish('d.1', number);
  const listener = collector();
  await topics.subscribe('d.>', listener, { after: 6 });
  assert.deepEqual(numbers(listener), [7, 8, 9]);
});

test('live events that come before the acknowledgement are held, and only the news among them told', async (t) => {
  const { hub, topics } = start(t);
  let asked;
  hub.answers.set('subscribe', (connection, request) => {
    connection.subscriptions.set(request.topic, { paused: true });
    asked = { connection, request };
  });
  const one = collector();
  const subscribed = topics.subscribe('d.*', one, { after: 3 });
  await until(() => asked !== undefined);
  const { connection, request } = asked;
  const event = (sequence, more) => connection.send({ type: 'event', topic: 'd.1', data: sequence, sequence, ...more });
  event(4, { replay: 'd.*' });
  event(5);
  event(7);
  event(8);
  event(5, { replay: 'd.*' });
  event(6, { replay: 'd.*' });
  await quiet();
  assert.deepEqual(numbers(one), [4, 5, 6]);
  event(7, { replay: 'd.*' });
  connection.answer(request, { sequence: 7 });
  event(9);
  await subscribed;
  await until(() => one.got.length === 6);
  assert.deepEqual(numbers(one), [4, 5, 6, 7, 8, 9]);
});

test('overlapping patterns: each listener gets each event once, also while one of them is replayed', async (t) => {
  const { hub, topics } = start(t);
  const [wide, narrow, late] = [collector(), collector(), collector()];
  await topics.subscribe('d.>', wide);
  await topics.subscribe('d.1', narrow);
  for (const number of range(1, 4)) hub.publish(`d.${number % 2}`, number);
  await until(() => wide.got.length === 4);
  let open;
  hub.gate = new Promise((resolve) => { open = resolve; });
  const subscribed = topics.subscribe('d.*', late, { after: 0 });
  await until(() => hub.ofType('subscribe').length === 3);
  for (const number of range(5, 8)) hub.publish(`d.${number % 2}`, number);
  await until(() => wide.got.length === 8);
  assert.deepEqual(late.got, [], 'it is still being replayed');
  hub.gate = null;
  open();
  await subscribed;
  hub.publish('d.1', 9);
  await until(() => late.got.length === 9);
  assert.deepEqual([numbers(wide), numbers(late), numbers(narrow)], [range(1, 9), range(1, 9), [1, 3, 5, 7, 9]]);
});

test('a retained message is no place to go on from before the first acknowledgement, and is told once', async (t) => {
  const { hub, topics } = start(t);
  for (const number of range(1, 9)) hub.publish('d.1', number);
  const retained = (connection, request) => connection.send({ type: 'event', topic: 'd.1', data: 'kept', sequence: 2, replay: request.topic });
  hub.answers.set('subscribe', (connection, request) => retained(connection, request)); // and no answer
  const listener = collector();
  const subscribed = topics.subscribe('d.*', listener);
  await until(() => listener.got.length === 1);
  hub.answers.set('subscribe', (connection, request) => (retained(connection, request), false));
  hub.drop();
  await subscribed;
  hub.publish('d.1', 10);
  await until(() => listener.got.length === 2);
  assert.deepEqual(numbers(listener), [2, 10]);
});

test('a slow subscription is replayed between live events without anything being told twice', async (t) => {
  const { hub, topics } = start(t);
  const listener = collector();
  await topics.subscribe('d.1', listener);
  const event = (sequence, more) => hub.connection.send({ type: 'event', topic: 'd.1', data: sequence, sequence, ...more });
  for (const number of [1, 2]) event(number);
  for (const number of [2, 3, 4]) event(number, { replay: 'd.1' });
  for (const number of [4, 5]) event(number);
  await until(() => listener.got.length === 5);
  assert.deepEqual(numbers(listener), range(1, 5));
});

test('a stream that was made anew is told, and read from its beginning', async (t) => {
  const { hub, topics } = start(t);
  const [listener, told] = [collector(), []];
  await topics.subscribe('d.1', listener, { onMissed: ({ after, sequence }) => told.push([after, sequence]) });
  const event = (sequence, data) => hub.connection.send({ type: 'event', topic: 'd.1', data, sequence });
  event(7, 'old');
  event(7, 'old');
  event(1, 'new');
  event(2, 'newer');
  await until(() => listener.got.length === 3);
  assert.deepEqual(listener.got.map(([, data]) => data), ['old', 'new', 'newer']);
  assert.deepEqual(told, [[7, 0]]);
  assert.equal(topics.position('d.1'), 2);
});

test('missed is told to the listener and as an event, and life goes on behind it', async (t) => {
  const { hub, topics } = start(t);
  const [listener, told, events] = [collector(), [], []];
  topics.addEventListener('missed', ({ pattern, after, sequence }) => events.push([pattern, after, sequence]));
  const onMissed = ({ pattern, after, sequence }) => told.push([pattern, after, sequence, listener.got.length]);
  await topics.subscribe('d.1', listener, { onMissed });
  hub.publish('d.1', 1);
  await until(() => listener.got.length === 1);
  hub.drop();
  for (const number of range(2, 6)) hub.publish('d.1', number);
  hub.forget(5);
  await until(() => told.length === 1);
  hub.publish('d.1', 7);
  await until(() => listener.got.length === 2);
  assert.deepEqual(numbers(listener), [1, 7]);
  assert.deepEqual([told, events], [[['d.1', 1, 6, 1]], [['d.1', 1, 6]]]);
});

test('a stream that was made anew begins anew', async (t) => {
  const { hub, topics } = start(t);
  const [listener, told] = [collector(), []];
  await topics.subscribe('d.1', listener, { onMissed: ({ sequence }) => told.push(sequence) });
  for (const number of range(1, 5)) hub.publish('d.1', number);
  await until(() => listener.got.length === 5);
  hub.log = [];
  hub.publish('d.1', 'new');
  hub.drop();
  await until(() => told.length === 1);
  hub.publish('d.1', 'newer');
  await until(() => listener.got.length >= 6);
  assert.deepEqual([told, topics.position('d.1'), listener.got.at(-1)], [[1], 2, ['d.1', 'newer', 2]]);
});

test('unsubscribing while it is replayed, and subscribing again from elsewhere', async (t) => {
  const { hub, topics } = start(t);
  for (const number of range(1, 10)) hub.publish('d.1', number);
  const [first, second] = [collector(), collector()];
  const never = topics.subscribe('d.1', first, { after: 5 });
  await until(() => first.got.length === 2);
  const gone = topics.unsubscribe('d.1', first);
  const again = topics.subscribe('d.1', second, { after: 2 });
  await Promise.all([never, gone, again]);
  assert.deepEqual(numbers(second), range(3, 10));
  assert.deepEqual(numbers(first), range(6, 5 + first.got.length));
});

test('a listener that throws takes nothing from the others', async (t) => {
  const { hub, topics } = start(t);
  const caught = [];
  const catcher = (error) => caught.push(error.message);
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', catcher);
  t.after(() => {
    process.removeListener('uncaughtException', catcher);
    for (const other of others) process.on('uncaughtException', other);
  });
  const listener = collector();
  await topics.subscribe('d.1', () => { throw new Error('mine'); });
  await topics.subscribe('d.1', listener);
  hub.publish('d.1', 1);
  await until(() => listener.got.length === 1 && caught.length === 1);
  assert.deepEqual(caught, ['mine']);
});

test('a publication that is stored', async (t) => {
  const { hub, topics } = start(t);
  await until(() => hub.connections.size === 1);
  await topics.subscribe('p', () => {});
  assert.deepEqual(await topics.publish('d.1', 1), { stored: true, sequence: 1, duplicate: false });
  assert.deepEqual(await topics.publish('d.1', 2, { key: 'k' }), { stored: true, sequence: 2, duplicate: false });
  assert.deepEqual(await topics.publish('d.1', 3, { once: true, key: 'k' }), { stored: true, sequence: 2, duplicate: true });
  assert.match((await topics.publish('d.1', 4, { once: true })) && hub.requests.at(-1).key, /^[0-9a-f]{32}$/);
  assert.equal(hub.log.length, 3);
  hub.answers.set('publish', (connection, request) => connection.refuse(request, 'failed'));
  await rejects(topics.publish('d.1', 5, { once: true }), 'failed');
});

test('once: what was asked while there was no connection goes out in order when there is one', async (t) => {
  const { hub, topics, socket } = start(t, {}, { maxWaiting: 5 });
  const all = range(1, 5).map((number) => topics.publish('d.1', number, { once: true }));
  await rejects(topics.publish('d.1', 6, { once: true }), 'full');
  assert.deepEqual((await Promise.all(all)).map(({ sequence }) => sequence), range(1, 5));
  assert.deepEqual(hub.log.map(({ data }) => data), range(1, 5));
  socket.close();
  await rejects(topics.publish('d.1', 7, { once: true }), 'disconnected');
});

test('once: a key that the servers may have forgotten is not used again', async (t) => {
  const { hub, topics, socket } = start(t);
  await topics.subscribe('p', () => {});
  hub.answers.set('publish', () => {}); // never answered
  const promise = topics.publish('d.1', 1, { once: true });
  promise.catch(() => {});
  await until(() => hub.ofType('publish').length === 1);
  const now = Date.now();
  mock.method(Date, 'now', () => now + 100001);
  t.after(() => mock.restoreAll());
  hub.drop();
  await rejects(promise, 'disconnected');
  await until(() => socket.readyState === 1);
  await quiet();
  assert.equal(hub.ofType('publish').length, 1);
});

test('a connection that is closed for good ends what waits', async (t) => {
  const { hub, topics, socket } = start(t);
  await topics.subscribe('d.1', () => {});
  hub.answers.set('publish', () => {});
  hub.answers.set('watch', () => {});
  const waiting = [topics.publish('d.1', 1), topics.publish('d.1', 1, { once: true }), topics.watch('room', () => {})];
  await until(() => hub.ofType('watch').length === 1);
  socket.close();
  for (const promise of waiting) await rejects(promise, 'disconnected');
  await rejects(topics.subscribe('d.2', () => {}), 'disconnected');
});

test('what was granted and is refused later is told', async (t) => {
  const { hub, topics } = start(t);
  const refused = [];
  topics.addEventListener('refused', ({ request, topic, error }) => refused.push([request, topic, error.code]));
  await topics.subscribe('d.1', () => {});
  await topics.join('room', 'me');
  for (const type of ['subscribe', 'join']) hub.answers.set(type, (connection, request) => connection.refuse(request, 'refused'));
  hub.drop();
  await until(() => refused.length === 2);
  assert.deepEqual(refused, [['subscribe', 'd.1', 'refused'], ['join', 'room', 'refused']]);
  await rejects(topics.subscribe('d.1', () => {}), 'refused');
  assert.equal(refused.length, 2, 'the first answer goes to the promise');
});

test('what was withdrawn while there was no connection is not asked for again', async (t) => {
  const { hub, topics, socket } = start(t);
  await Promise.all([topics.subscribe('d.1', () => {}), topics.join('room', 'me'), topics.watch('room', () => {})]);
  const asked = hub.requests.length;
  hub.drop();
  await Promise.all([topics.unsubscribe('d.1'), topics.leave('room'), topics.unwatch('room')]);
  await until(() => socket.readyState === 1);
  await quiet();
  assert.equal(hub.requests.length, asked);
});

test('requests do not outlive their connection in a WsBeat that holds them back', async (t) => {
  const { hub, topics, socket } = start(t);
  await topics.join('room', 'me');
  hub.connection.socket.bufferedAmount = 1e9; // nothing is taken any more
  const lost = [topics.publish('p', 'stale'), topics.leave('room'), topics.publish('d.1', 'kept', { once: true })];
  lost[0].catch(() => {});
  await quiet();
  assert.ok(socket.bufferedAmount > 1e9);
  hub.drop();
  await rejects(lost[0], 'disconnected');
  await Promise.all(lost.slice(1));
  await quiet();
  assert.deepEqual(hub.requests.map(({ type, data }) => [type, data]), [['join', undefined], ['publish', 'kept']]);
  assert.deepEqual(hub.members('room'), []);
});

test('thousands of subscriptions come back through a queue that is small', async (t) => {
  const { hub, topics, socket } = start(t, { highWater: 2000, queue: { maxMessages: 3 } });
  await topics.subscribe('d.0', () => {});
  const all = [];
  for (let number = 1; number <= 2000; ++number) {
    all.push(topics.subscribe(`d.${number}`, () => {}));
    if (number % 20 === 0) await Promise.all(all.splice(0));
  }
  const refused = [];
  topics.addEventListener('refused', (event) => refused.push(event));
  hub.drop();
  await until(() => socket.readyState === 1);
  let full = 0; // a socket that is full at every third look
  Object.defineProperty(hub.connection.socket, 'bufferedAmount', { get: () => (++full % 3 === 0 ? 1e9 : 0) });
  await topics.publish('d.1', 'behind them all', { once: true });
  assert.deepEqual([hub.connection.subscriptions.size, refused.length], [2001, 0]);
});
