// clients/js/topics.js against a server: node topics_client.mjs URL wsbeat|returning|plain. Ends with 0 if all holds.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Topics, TopicError, SUBPROTOCOL } from '../../clients/js/topics.js';
import { WsBeat } from '../../clients/js/wsbeat.js';

const require = createRequire(new URL('../clients/package.json', import.meta.url));
const WebSocket = require('ws');
const [url, kind] = process.argv.slice(2);

// Somebody's own connection that comes back by itself.
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

  terminate() {
    this.inner.terminate();
  }

  close() {
    this.done = true;
    this.inner.close();
  }
}

// A WsBeat on sockets that can be cut.
function makeWsBeat() {
  const sockets = [];
  class Kept extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  }
  const socket = new WsBeat(url, { protocols: SUBPROTOCOL, WebSocket: Kept, reconnect: { minDelay: 20 } });
  socket.terminate = () => sockets.at(-1).terminate();
  return socket;
}

const make = { wsbeat: makeWsBeat, returning: () => new Returning(), plain: () => new WebSocket(url, SUBPROTOCOL) };

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

const socket = make[kind]();
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
await rejects(topics.publish('orders.17', 1, { once: true }), 'not_durable');
await rejects(topics.join('a.*', 'me'), 'bad_topic');
await rejects(topics.join('room', ''), 'bad_request');

const presence = collector();
await topics.join('room', 'me');
assert.deepEqual(await topics.watch('room', presence.listener), ['me']);
await topics.join('room', 'myself');
assert.deepEqual([await presence.next(), await presence.next(), await presence.next()], [[true, 'me'], [false, 'me'], [true, 'myself']]);

// A new connection has what the old one had.
for (let round = 0; round < (kind === 'plain' ? 0 : 3); ++round) {
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve, { once: true }));
  const opened = new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
  const lost = rejects(topics.publish('elsewhere', 1), 'disconnected');
  socket.terminate();
  await Promise.all([closed, lost, opened]);
  await topics.subscribe('round', () => {}); // answered behind what was subscribed again
  assert.equal((await topics.publish('orders.17', round)).reached, 1);
  assert.deepEqual(await first.next(), ['orders.17', round]);
  assert.deepEqual(await second.next(), ['orders.17', round]);
  await topics.unsubscribe('round');
}
assert.deepEqual([topics.members('room'), presence.got], [['myself'], []], 'a watcher that comes back sees no change');
await topics.leave('room');
assert.deepEqual(await presence.next(), [false, 'myself']);
await topics.unwatch('room');

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
socket.close();
