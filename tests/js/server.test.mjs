// The client over npm's ws against a real wsbeat-server.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Server } from '../support/server.mjs';
import { TcpProxy } from '../support/tcp_proxy.mjs';
import { client, opened, WsBeat } from './client.mjs';

const SECRET = 's3cret-._~'; // npm's ws sends user info as it stands in the URL, percent-encoded

async function start(t, ...flags) {
  const server = await Server.start(...flags);
  t.after(() => server.stop('SIGKILL'));
  return server;
}

test('messages of every kind, in order', async (t) => {
  const server = await start(t);
  const ws = client(t, server.url, { binaryType: 'arraybuffer', queue: { maxBytes: 1 << 22 } });
  const sent = ['hello', '', 'grüße \u{1f600}', 'x'.repeat(1 << 20)];
  for (const text of sent) ws.send(text);
  ws.send(new Uint8Array([1, 2, 3]).buffer);
  const messages = () => ws.log.filter((event) => event.type === 'message').map((event) => event.data);
  while (messages().length < 5) await once(ws, 'message');
  const got = messages();
  assert.deepEqual(got.slice(0, 4), sent);
  assert.deepEqual(new Uint8Array(got[4]), new Uint8Array([1, 2, 3]));
});

test('a close with a code is told on both sides', async (t) => {
  const server = await start(t);
  const ws = await opened(client(t, server.url));
  ws.send('/close 4001 banned');
  const [event] = await once(ws, 'close');
  assert.deepEqual([event.code, event.reason, event.wasClean, event.willReconnect], [4001, 'banned', true, false]);
  const other = await opened(client(t, server.url));
  other.close(3456, 'bye');
  const closed = await server.event('close', { code: 3456 });
  assert.deepEqual([closed.reason, closed.clean, closed.initiator], ['bye', true, 'remote']);
});

test('it comes back to a server that was killed and started again', async (t) => {
  const first = await start(t);
  const proxy = await TcpProxy.start(first.port);
  t.after(() => proxy.stop());
  const ws = await opened(client(t, proxy.url));
  await first.stop('SIGKILL');
  const [event] = await once(ws, 'close');
  assert.deepEqual([event.code, event.wasClean, event.willReconnect], [1006, false, true]);
  const second = await start(t);
  proxy.aim(second.port);
  await once(ws, 'open');
  ws.send('again');
  assert.equal((await once(ws, 'message'))[0].data, 'again');
});

test('a stop of the server is a clean 1001', async (t) => {
  const server = await start(t);
  const ws = await opened(client(t, server.url));
  server.stop();
  const [event] = await once(ws, 'close');
  assert.deepEqual([event.code, event.reason, event.wasClean, event.willReconnect], [1001, 'server is closing', true, true]);
});

test('beats keep a connection whose server lives, and end one whose cable was pulled', async (t) => {
  const server = await start(t, '--app-beat-ms', 200);
  const proxy = await TcpProxy.start(server.port);
  t.after(() => proxy.stop());
  for (const beat of ['query', 'subprotocol']) {
    const ws = await opened(client(t, proxy.url, { beat }));
    await new Promise((resolve) => { setTimeout(resolve, 1200); });
    assert.deepEqual([ws.state, ws.beatInterval, ws.log.filter((event) => event.type === 'message')], ['open', 200, []]);
    const began = performance.now();
    proxy.silence();
    const [event] = await once(ws, 'close');
    const took = performance.now() - began;
    assert.deepEqual([event.code, event.wasClean, event.willReconnect], [1006, false, true]);
    assert.ok(took > 250 && took < 3000, `${took} ms`);
    proxy.silence(false);
    proxy.reset();
    ws.close();
  }
});

test('without a wish there are no beats', async (t) => {
  const server = await start(t, '--app-beat-ms', 50);
  const ws = await opened(client(t, server.url));
  ws.send('mark');
  await new Promise((resolve) => { setTimeout(resolve, 300); });
  assert.deepEqual(ws.log.filter((event) => event.type === 'message').map((event) => event.data), ['mark']);
});

test('send waits for a server that does not read', async (t) => {
  const server = await start(t, '--mode', 'sink');
  const ws = await opened(client(t, server.url, { highWater: 1 << 20, queue: { maxBytes: 1 << 22 } }));
  await ws.send('/pause 1500');
  await server.event('open');
  const began = performance.now();
  let most = 0;
  for (let i = 0; i < 64; ++i) {
    await ws.send(new Uint8Array(1 << 19));
    most = Math.max(most, ws.bufferedAmount);
  }
  assert.ok(performance.now() - began > 1000, 'it waited');
  assert.ok(most <= (1 << 20) + (1 << 19) + 20, `${most} bytes at once`);
});

for (const [how, options] of [
  ['query', { credentials: { query: { token: SECRET } } }],
  ['subprotocol', { protocols: 'v1', credentials: { subprotocol: SECRET } }],
  ['user info', { credentials: { user: 'me', password: SECRET } }],
  ['cookie', { socketOptions: { headers: { Cookie: `token=${SECRET}` } } }],
]) {
  test(`token by ${how}`, async (t) => {
    const server = await start(t, '--token', SECRET, '--subprotocols', 'v1');
    await opened(client(t, server.url, options));
    const wrong = client(t, server.url, { reconnect: { maxAttempts: 0 } });
    const [event] = await once(wrong, 'close');
    assert.deepEqual([event.code, event.willReconnect], [1006, false]);
    await server.event('refused', { status: 401 });
  });
}

test('many clients, each opened and closed once', async (t) => {
  const server = await start(t);
  const all = await Promise.all(Array.from({ length: 20 }, () => opened(client(t, server.url))));
  for (const ws of all) ws.close(1000);
  const closed = await server.until('close', 20);
  assert.ok(closed.every((event) => event.clean && event.code === 1000));
  assert.equal(WsBeat.CLOSED, 3);
});
