// The client's rules on sockets that the tests drive and a clock that they move: delays, closes, queue, pacing, beats, page events.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { FakeSocket, settle, watch, WsBeat } from './client.mjs';

const URL_ = 'ws://server.example/feed';
let page;

beforeEach(() => {
  FakeSocket.made = [];
  page = new EventTarget();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
});
afterEach(() => mock.timers.reset());

async function make(options = {}) {
  const ws = watch(new WsBeat(URL_, { WebSocket: FakeSocket, page, ...options, reconnect: options.reconnect === false ? false : { random: () => 0.5, ...options.reconnect } }));
  await settle();
  return ws;
}
const last = () => FakeSocket.made.at(-1);
// In steps, because the mock clock starts timers that timers start at the end of its step.
async function pass(ms) {
  for (let left = ms; left > 0; left -= 100) {
    mock.timers.tick(Math.min(left, 100));
    await settle();
  }
}
async function open(options) {
  const ws = await make(options);
  last().open();
  return ws;
}
const closes = (ws) => ws.log.filter((event) => event.type === 'close');
const states = (ws) => ws.log.filter((event) => event.type === 'state').map((event) => event.state);

test('looks like a WebSocket', async () => {
  const ws = await make();
  assert.deepEqual([ws.readyState, ws.url, ws.protocol, ws.bufferedAmount, ws.onopen], [0, URL_, '', 0, null]);
  const heard = [];
  ws.onopen = () => heard.push('old');
  ws.onopen = () => heard.push('open');
  ws.onmessage = ({ data }) => heard.push(data);
  last().open();
  last().receive('hello');
  ws.onmessage = null;
  last().receive('unheard');
  assert.deepEqual(heard, ['open', 'hello']);
  assert.deepEqual([ws.readyState, WsBeat.OPEN, ws.CLOSED, ws.state], [1, 1, 3, 'open']);
});

test('delays grow to their cap, with full jitter', async () => {
  const ws = await make({ reconnect: { minDelay: 100, maxDelay: 1000 } });
  for (let i = 0; i < 6; ++i) {
    last().end();
    await pass(closes(ws).at(-1).delay);
  }
  assert.deepEqual(closes(ws).map((event) => event.delay), [50, 100, 200, 400, 500, 500]);
  assert.equal(FakeSocket.made.length, 7);
});

test('an attempt comes neither before its delay nor twice', async () => {
  await make({ reconnect: { minDelay: 100 } });
  last().end();
  await pass(49);
  assert.equal(FakeSocket.made.length, 1);
  await pass(1);
  assert.equal(FakeSocket.made.length, 2);
  await pass(10000);
  assert.equal(FakeSocket.made.length, 2);
});

test('delays begin anew after a connection that lasted, not after one that did not', async () => {
  const ws = await open({ reconnect: { minDelay: 100, stableAfter: 5000 } });
  last().end();
  await pass(50);
  last().open();
  await pass(4999);
  last().end();
  assert.equal(closes(ws).at(-1).delay, 100);
  await pass(100);
  last().open();
  await pass(5000);
  last().end();
  assert.equal(closes(ws).at(-1).delay, 50);
});

for (const [code, comesBack] of [[1000, true], [1001, true], [1005, true], [1006, true], [1008, false], [1011, true], [1012, true], [3999, true], [4000, false],
  [4099, false], [4100, true]]) {
  test(`after ${code} of the server it ${comesBack ? 'comes back' : 'stays away'}`, async () => {
    const ws = await open();
    last().end(code, 'why', true);
    const [event] = closes(ws);
    assert.deepEqual([event.code, event.reason, event.wasClean, event.willReconnect], [code, 'why', true, comesBack]);
    assert.equal(ws.state, comesBack ? 'waiting' : 'closed');
  });
}

test('what says "do not" can be chosen', async () => {
  const ws = await open({ reconnect: { never: [[4500, 4501]] } });
  last().end(1008);
  assert.equal(closes(ws)[0].willReconnect, true);
  const other = await open({ reconnect: { never: ({ reason }) => reason === 'banned' } });
  last().end(4999, 'banned');
  assert.equal(closes(other)[0].willReconnect, false);
  const none = await open({ reconnect: false });
  last().end();
  assert.equal(closes(none)[0].willReconnect, false);
});

test('gives up after maxAttempts', async () => {
  const ws = await make({ reconnect: { maxAttempts: 2 } });
  for (let i = 0; i < 3; ++i) {
    last().end();
    await pass(60000);
  }
  assert.deepEqual(closes(ws).map((event) => event.willReconnect), [true, true, false]);
  assert.equal(FakeSocket.made.length, 3);
});

test('our close is final, in every state', async () => {
  const waiting = await open();
  last().end();
  waiting.close();
  assert.deepEqual([waiting.state, closes(waiting).at(-1).willReconnect], ['closed', false]);
  const ws = await open();
  ws.close(4321, 'bye');
  assert.deepEqual([last().closed, ws.readyState], [{ code: 4321, reason: 'bye' }, WsBeat.CLOSING]);
  last().end(4321, '', true);
  assert.deepEqual([ws.readyState, closes(ws)[0].willReconnect], [WsBeat.CLOSED, false]);
  const connecting = await make();
  connecting.close();
  last().open();
  assert.equal(connecting.state, 'closing', 'an open that comes late changes nothing');
  last().end();
  await pass(100000);
  assert.equal(FakeSocket.made.length, 3);
});

test('refuses what WebSocket refuses', async () => {
  const ws = await open();
  for (const code of [0, 999, 1001, 1005, 2999, 5000, NaN]) assert.throws(() => ws.close(code), { name: 'InvalidAccessError' });
  assert.throws(() => ws.close(1000, 'é'.repeat(62)), { name: 'SyntaxError' });
  for (const url of ['nonsense', 'ftp://host/', 'ws://host/#part']) assert.throws(() => new WsBeat(url, { WebSocket: FakeSocket }), { name: 'SyntaxError' });
  for (const protocols of [['a', 'a'], ['a b'], ['']]) assert.throws(() => new WsBeat(URL_, { WebSocket: FakeSocket, protocols }), { name: 'SyntaxError' });
  assert.throws(() => new WsBeat(URL_, { WebSocket: FakeSocket, queue: { policy: 'other' } }), TypeError);
  assert.throws(() => new WsBeat(URL_, { WebSocket: null }), TypeError);
});

test('online ends the wait', async () => {
  await open();
  last().end();
  page.dispatchEvent(new Event('online'));
  await settle();
  assert.equal(FakeSocket.made.length, 2);
  page.dispatchEvent(new Event('online'));
  await pass(10000);
  assert.equal(FakeSocket.made.length, 2, 'once only');
});

test('a handshake that hangs is given up', async () => {
  const ws = await make({ connectTimeout: 3000 });
  await pass(3000);
  assert.deepEqual([ws.state, closes(ws)[0].code], ['waiting', 1006]);
  assert.ok(FakeSocket.made[0].closed);
});

test('send resolves when the socket has taken it, paced by bufferedAmount', async () => {
  const ws = await open({ highWater: 100 });
  last().bufferedAmount = 99;
  await ws.send('at once');
  last().bufferedAmount = 100;
  let taken = false;
  ws.send('later').then(() => { taken = true; });
  await pass(1000);
  assert.deepEqual([taken, last().sent, ws.bufferedAmount], [false, ['at once'], 105]);
  last().bufferedAmount = 10;
  await pass(50);
  assert.deepEqual([taken, last().sent, ws.bufferedAmount], [true, ['at once', 'later'], 10]);
});

test('what waits is sent in order after reconnecting', async () => {
  const ws = await make();
  const sent = [ws.send('1'), ws.send('2')];
  last().open();
  await Promise.all(sent);
  last().end();
  ws.send('3');
  await pass(1000);
  last().open();
  assert.deepEqual(FakeSocket.made.map((socket) => socket.sent), [['1', '2'], ['3']]);
});

test('the queue copies memory that its owner goes on using', async () => {
  const ws = await make();
  const bytes = new Uint8Array([1, 2, 3]);
  ws.send(bytes.subarray(1));
  bytes.fill(9);
  last().open();
  assert.deepEqual(new Uint8Array(last().sent[0]), new Uint8Array([2, 3]));
});

async function outcomes(promises) {
  return (await Promise.allSettled(promises)).map(({ reason }) => reason?.reason ?? 'sent');
}

test('policy refuse', async () => {
  const ws = await make({ queue: { maxMessages: 2 } });
  const sent = ['a', 'b', 'c'].map((text) => ws.send(text));
  last().open();
  assert.deepEqual([await outcomes(sent), last().sent], [['sent', 'sent', 'full'], ['a', 'b']]);
});

test('policy drop, by bytes', async () => {
  const ws = await make({ queue: { policy: 'drop', maxBytes: 4 } });
  const sent = ['aa', 'bb', 'cé', 'larger than all'].map((text) => ws.send(text));
  last().open();
  assert.deepEqual([await outcomes(sent), last().sent], [['dropped', 'dropped', 'sent', 'full'], ['cé']]);
});

test('policy latest', async () => {
  const ws = await make({ queue: { policy: 'latest', maxMessages: 2 } });
  const sent = [ws.send('x1', { key: 'x' }), ws.send('y1', { key: 'y' }), ws.send('x2', { key: 'x' }), ws.send('plain')];
  last().open();
  assert.deepEqual([await outcomes(sent), last().sent], [['superseded', 'dropped', 'sent', 'sent'], ['x2', 'plain']]);
});

test('close hands over what waits; an end for good rejects it', async () => {
  const ws = await open({ highWater: 1 });
  last().bufferedAmount = 5;
  const sent = ws.send('last words');
  ws.close();
  await sent;
  assert.deepEqual([last().sent, last().closed !== null], [['last words'], true]);
  const never = await make();
  const lost = never.send('lost');
  last().end(1008);
  assert.deepEqual(await outcomes([lost, never.send('too late')]), ['closed', 'closed']);
});

test('beats are asked for, and hidden', async () => {
  await make({ beat: 'query' });
  assert.deepEqual([last().url, last().protocols], [`${URL_}?wsbeat-beat=1`, []]);
  const ws = await make({ beat: 'subprotocol', protocols: 'v1' });
  assert.deepEqual([last().url, last().protocols], [URL_, ['v1', 'wsbeat.beat.v1']]);
  last().open();
  for (const data of ['\x161000', '\x16', '1000', '\x161000x', ' \x161000']) last().receive(data);
  assert.deepEqual(ws.log.filter((event) => event.type === 'message').map((event) => event.data), ['\x16', '1000', '\x161000x', ' \x161000']);
  assert.equal(ws.beatInterval, 1000);
  const unasked = await open();
  last().receive('\x161000');
  assert.equal(unasked.log.at(-1).data, '\x161000');
});

test('two and a half missed beats are the end', async () => {
  const ws = await open({ beat: true });
  last().receive('\x161000');
  await pass(2499);
  assert.equal(ws.state, 'open');
  await pass(1);
  assert.deepEqual([ws.state, closes(ws)[0].code, closes(ws)[0].wasClean, FakeSocket.made[0].closed.code], ['waiting', 1006, false, 4408]);
  FakeSocket.made[0].end(1006);
  assert.equal(closes(ws).length, 1, 'the old socket is heard no more');
  await pass(1000);
  assert.equal(FakeSocket.made.length, 2);
});

test('beats and messages are signs of life; without a first beat nothing is due', async () => {
  const ws = await open({ beat: true });
  await pass(100000);
  assert.equal(ws.state, 'open', 'this server sends none');
  last().receive('\x161000');
  for (let i = 0; i < 10; ++i) {
    await pass(2400);
    last().receive(i % 2 ? '\x161000' : 'a message');
  }
  assert.equal(ws.state, 'open');
  await pass(3000);
  assert.equal(closes(ws).length, 1);
});

test('goodbye when the page goes, and back when it comes back', async () => {
  const ws = await open();
  page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }));
  assert.deepEqual([FakeSocket.made[0].closed, ws.state], [{ code: 1000, reason: 'page hidden' }, 'suspended']);
  assert.equal(closes(ws)[0].willReconnect, true);
  await pass(100000);
  assert.equal(FakeSocket.made.length, 1, 'not while it is away');
  page.dispatchEvent(new Event('pageshow'));
  await settle();
  last().open();
  assert.deepEqual([FakeSocket.made.length, states(ws)], [2, ['open', 'suspended', 'connecting', 'open']]);
  const quiet = await open({ goodbye: false });
  page.dispatchEvent(new Event('pagehide'));
  assert.deepEqual([last().closed, quiet.state], [null, 'open']);
});

test('credentials and functions, asked anew each time', async () => {
  let round = 0;
  await make({ protocols: async () => ['v1'], credentials: async () => ({ query: { token: `t${++round}` }, subprotocol: 'a/b', user: 'u', password: 'p' }) });
  last().end();
  await pass(60000);
  assert.deepEqual(FakeSocket.made.slice(0, 2).map((socket) => socket.url), ['ws://u:p@server.example/feed?token=t1', 'ws://u:p@server.example/feed?token=t2']);
  assert.deepEqual(last().protocols, ['v1', 'wsbeat.token.YS9i']);
  assert.throws(() => new WsBeat(URL_, { WebSocket: FakeSocket, credentials: { subprotocol: 'alone' } }), TypeError);
});

test('a function that fails is asked again later', async () => {
  let round = 0;
  const ws = await make({ credentials: async () => { if (++round === 1) throw new TypeError('fetch failed'); return {}; } });
  assert.deepEqual([ws.state, closes(ws)[0].reason, ws.log.find((event) => event.type === 'error').error.message], ['waiting', 'fetch failed', 'fetch failed']);
  await pass(1000);
  assert.equal(FakeSocket.made.length, 1);
});

test('a message for this connection only is given up with it', async () => {
  const ws = await open({ highWater: 1 });
  last().bufferedAmount = 1;
  const ends = [];
  ws.send('for now', { keep: false }).catch((error) => ends.push(error.reason));
  ws.send('for ever');
  await settle();
  assert.deepEqual([ends, ws.bufferedAmount], [[], 16]);
  last().end();
  ws.send('too late', { keep: false }).catch((error) => ends.push(error.reason));
  await settle();
  assert.deepEqual([ends, ws.bufferedAmount], [['disconnected', 'disconnected'], 8]);
  await pass(1000);
  last().open();
  assert.deepEqual(last().sent, ['for ever']);
});

test('subclasses can prepare, greet and intercept', async () => {
  class Greeting extends WsBeat {
    greetings = 0;
    prepare(url, protocols) {
      url.searchParams.set('resume', String(this.greetings));
      protocols.push('extra.v1');
    }
    greet(transmit) { this.greetings += 1; transmit('greeting'); }
    intercept(data) { return data === 'for the subclass'; }
  }
  const ws = watch(new Greeting(URL_, { WebSocket: FakeSocket, page }));
  await settle();
  ws.send('queued');
  last().open();
  last().receive('for the subclass');
  last().receive('for all');
  assert.deepEqual([last().url, last().protocols, last().sent], [`${URL_}?resume=0`, ['extra.v1'], ['greeting', 'queued']]);
  assert.deepEqual(ws.log.filter((event) => event.type === 'message').map((event) => event.data), ['for all']);
});
