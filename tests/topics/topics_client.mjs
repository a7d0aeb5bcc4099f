// clients/js/topics.js against a server: node topics_client.mjs URL. Ends with 0 if all holds.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Topics, TopicError, SUBPROTOCOL, matches } from '../../clients/js/topics.js';

const require = createRequire(new URL('../clients/package.json', import.meta.url));
const WebSocket = require('ws');
const url = process.argv[2];

// A connection that comes back by itself, as a WsBeat does.
class Returning extends EventTarget {
  constructor() {
    super();
    this.connect();
  }

  connect() {
    this.inner = new WebSocket(url, SUBPROTOCOL);
    this.inner.onopen = () => this.dispatchEvent(new Event('open'));
    this.inner.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent('message', { data }));
    this.inner.onerror = () => {};
    this.inner.onclose = () => {
      this.dispatchEvent(new Event('close'));
      if (!this.done) setTimeout(() => this.connect(), 20);
    };
  }

  get readyState() {
    return this.inner.readyState;
  }

  send(text) {
    this.inner.send(text);
  }

  end() {
    this.done = true;
    this.inner.close();
  }
}

function collector() {
  const got = [];
  const waiting = [];
  const listener = (data, topic) => {
    const next = waiting.shift();
    if (next) next([topic, data]);
    else got.push([topic, data]);
  };
  const next = () => (got.length > 0 ? Promise.resolve(got.shift()) : new Promise((resolve) => waiting.push(resolve)));
  return { listener, next, got };
}

const rejects = (promise, code) => assert.rejects(promise, (error) => error instanceof TopicError && error.code === code);

for (const [pattern, topic, wanted] of [['a.*', 'a.b', true], ['a.*', 'a.b.c', false], ['a.>', 'a.b.c', true], ['a.>', 'a', false], ['>', 'a', true], ['a', 'b', false]]) {
  assert.equal(matches(pattern, topic), wanted, `${pattern} ${topic}`);
}

const socket = new Returning();
const topics = new Topics(socket);
await rejects(topics.publish('t', 1), 'disconnected');
const first = collector();
const second = collector();
await topics.subscribe('orders.*', first.listener); // before it is open
await topics.subscribe('orders.>', second.listener);
assert.deepEqual(await topics.publish('orders.17', { state: 'paid' }), { reached: 1, refused: 0, crossed: true });
assert.deepEqual(await first.next(), ['orders.17', { state: 'paid' }]);
assert.deepEqual(await second.next(), ['orders.17', { state: 'paid' }]);
await topics.publish('orders.17.items', undefined);
assert.deepEqual(await second.next(), ['orders.17.items', null]);
assert.equal((await topics.publish('orders.18', 'not to me', { echo: false })).reached, 0);
await rejects(topics.subscribe('a..b', () => {}), 'bad_topic');
await rejects(topics.publish('a.*', 1), 'bad_topic');

// A new connection has what the old one had.
for (let round = 0; round < 3; ++round) {
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve, { once: true }));
  const opened = new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
  const lost = rejects(topics.publish('elsewhere', 1), 'disconnected');
  socket.inner.terminate();
  await Promise.all([closed, lost, opened]);
  await topics.subscribe('round', () => {}); // answered behind what was subscribed again
  assert.equal((await topics.publish('orders.17', round)).reached, 1);
  assert.deepEqual(await first.next(), ['orders.17', round]);
  assert.deepEqual(await second.next(), ['orders.17', round]);
  await topics.unsubscribe('round');
}

await topics.unsubscribe('orders.*', first.listener);
await topics.unsubscribe('orders.*');
assert.equal((await topics.publish('orders.19', 'one left')).reached, 1);
assert.deepEqual(await second.next(), ['orders.19', 'one left']);
await topics.unsubscribe('orders.>');
assert.equal((await topics.publish('orders.20', 'none')).reached, 0);
await topics.publish('state', 'kept', { retain: true });
const late = collector();
await topics.subscribe('state', late.listener);
assert.deepEqual(await late.next(), ['state', 'kept']);
assert.deepEqual([first.got, second.got, late.got], [[], [], []]);
socket.end();
