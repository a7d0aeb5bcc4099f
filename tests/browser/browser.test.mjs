// What a page in a real Chromium, and the server at the other end, learn of each way in which a connection ends; and the client in it.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Server } from '../support/server.mjs';
import { TcpProxy } from '../support/tcp_proxy.mjs';
import { connect, connectPlain, launch, openPage, seen, send, servePages } from './browser.mjs';

const ANY_ORIGIN = ['--origin', 'http://127.0.0.1:*'];
const AT_ONCE_MS = 1000;
let pages;
let browser;

before(async () => {
  pages = await servePages();
  browser = await launch();
});
after(async () => {
  pages?.stop();
  await browser?.close();
});
// Node 20 may spin for ever in freeing its handles after all is done (FreeEnvironment, CleanupHandles); process.exit leaves that out.
process.on('exit', (code) => process.exit(code));

async function start(t, ...flags) {
  const server = await Server.start(...ANY_ORIGIN, ...flags);
  t.after(() => server.stop('SIGKILL'));
  return server;
}

async function newPage(t, from = browser) {
  const context = await from.newContext();
  t.after(() => context.close());
  return openPage(context, pages.url);
}

// What the page learns when `end` ends a connection to a server with these flags.
async function endOf(t, flags, end, options) {
  const server = await start(t, ...flags);
  const page = await newPage(t);
  await connect(page, server.url, options);
  await end({ server, page });
  const { code, reason, wasClean, willReconnect } = await seen(page, 'close');
  return { seen: [code, reason, wasClean, willReconnect], server };
}

const says = (text) => ({ page }) => send(page, text);
const ENDS = [
  ['the server closes with 1000', [], says('/close 1000 bye'), [1000, 'bye', true, true]],
  ['the server closes with 1008', [], says('/close 1008 no'), [1008, 'no', true, false]],
  ['the server closes with 1011', [], says('/close 1011 sorry'), [1011, 'sorry', true, true]],
  ['the server closes with 4001', [], says('/close 4001 banned'), [4001, 'banned', true, false]],
  ['the server closes without a code', [], says('/close'), [1005, '', true, true]],
  ['the server aborts', [], says('/abort'), [1006, '', false, true]],
  ['the server stops', [], ({ server }) => server.stop(), [1001, 'server is closing', true, true]],
  ['the server is killed', [], ({ server }) => server.stop('SIGKILL'), [1006, '', false, true]],
  ['the page is idle for too long', ['--idle-timeout-ms', 100], () => {}, [1001, 'idle timeout', true, true]],
  ['the page does not authenticate', ['--auth-timeout-ms', 100], () => {}, [1008, 'authentication timeout', true, false]],
  ['the page sends too much', ['--max-message-bytes', 100], ({ page }) => send(page, 'x'.repeat(101)), [1009, 'message too big', true, true]],
];
for (const [name, flags, end, expected] of ENDS) {
  test(name, async (t) => assert.deepEqual((await endOf(t, flags, end)).seen, expected));
}

for (const how of ['finish', 'reset']) {
  test(`a proxy cuts the connection: ${how}`, async (t) => {
    const server = await start(t);
    const proxy = await TcpProxy.start(server.port);
    t.after(() => proxy.stop());
    const page = await newPage(t);
    await connect(page, proxy.url);
    proxy[how]();
    const { code, reason, wasClean } = await seen(page, 'close');
    assert.deepEqual([code, reason, wasClean], [1006, '', false]);
    assert.equal((await server.event('close')).cause, 'network_error');
  });
}

for (const [cause, flags, status, options] of [
  ['origin', ['--origin', 'http://elsewhere.example'], 403, {}],
  ['subprotocol', [...ANY_ORIGIN, '--subprotocols', 'v9', '--require-subprotocol'], 400, { protocols: ['v1'] }],
  ['unauthorized', [...ANY_ORIGIN, '--token', 'secret'], 401, {}],
]) {
  test(`a refused handshake tells the page nothing: ${cause}`, async (t) => {
    const server = await Server.start(...flags);
    t.after(() => server.stop('SIGKILL'));
    const page = await newPage(t);
    await page.evaluate(([url, how]) => window.start(url, how), [server.url, options]);
    const { code, reason, wasClean } = await seen(page, 'close');
    assert.deepEqual([code, reason, wasClean], [1006, '', false]);
    assert.equal((await server.event('refused')).status, status);
    assert.equal((await server.event('refused')).cause, cause);
    assert.equal(server.count('open'), 0);
  });
}

test('a browser fails a connection that chose none of the subprotocols it offered', async (t) => {
  const server = await start(t);
  const page = await newPage(t);
  await page.evaluate((url) => window.startPlain(url, ['v1']), server.url);
  const { code, wasClean } = await seen(page, 'close');
  assert.deepEqual([code, wasClean], [1006, false]);
});

// All processes of one browser, so that nothing in it answers a ping.
function processesOf(root) {
  const parents = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((name) => {
    try {
      return [Number(name), Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1].split(' ')[1])];
    } catch {
      return [0, 0];
    }
  });
  const found = [root];
  for (const pid of found) found.push(...parents.filter(([, parent]) => parent === pid).map(([child]) => child));
  return found;
}

const chromiumOf = () => processesOf(process.pid).filter((pid) => {
  try {
    return /^.*chromium/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0]);
  } catch {
    return false;
  }
});

test('a browser that is frozen, and awakes after the heartbeat has given it up', async (t) => {
  const before = new Set(chromiumOf());
  const frozen = await launch();
  t.after(() => frozen.close());
  const server = await start(t, '--heartbeat-ms', 400);
  const page = await newPage(t, frozen);
  await connect(page, server.url);
  const processes = chromiumOf().filter((pid) => !before.has(pid));
  assert.ok(processes.length > 1);
  const signal = (name) => processes.forEach((pid) => process.kill(pid, name));
  signal('SIGSTOP');
  let closed;
  try {
    closed = await server.event('close');
  } finally {
    signal('SIGCONT');
  }
  assert.deepEqual([closed.cause, closed.code, closed.code_sent, closed.clean], ['heartbeat_timeout', 1006, 1011, false]);
  const { code, reason, wasClean } = await seen(page, 'close');
  // Usually its late pong meets a connection that is gone, and the reset overtakes the Close.
  assert.deepEqual([code, reason, wasClean], code === 1006 ? [1006, '', false] : [1011, 'heartbeat timeout', true]);
});

test('a page whose script is frozen stays connected: the browser answers for it', async (t) => {
  const server = await start(t, '--heartbeat-ms', 200);
  const page = await newPage(t);
  await connect(page, server.url);
  const session = await page.context().newCDPSession(page);
  await session.send('Page.setWebLifecycleState', { state: 'frozen' });
  await server.until('pong', server.count('pong') + 4);
  assert.equal(server.count('close'), 0);
});

const LEAVING = {
  reload: (page) => page.reload(),
  'tab close': (page) => page.close(),
};
for (const [how, leave] of Object.entries(LEAVING)) {
  for (const [who, open, code, reason] of [['a plain WebSocket', connectPlain, 1001, ''], ['the client', connect, 1000, 'page hidden']]) {
    test(`${how} is seen at once and clean, with the code of ${who}`, async (t) => {
      const server = await start(t);
      const page = await newPage(t);
      await open(page, server.url);
      const began = performance.now();
      await leave(page);
      const closed = await server.event('close');
      assert.ok(performance.now() - began < AT_ONCE_MS);
      assert.deepEqual([closed.code, closed.reason, closed.clean, closed.initiator], [code, reason, true, 'remote']);
    });
  }
}

test('the client leaves when its page goes into the back-forward cache, and comes back with it', async (t) => {
  const server = await start(t);
  const page = await newPage(t);
  await connect(page, server.url);
  await page.goto(`${pages.url}other`);
  const closed = await server.event('close');
  assert.deepEqual([closed.code, closed.reason, closed.clean], [1000, 'page hidden', true]);
  await page.goBack({ waitUntil: 'commit' });
  await server.until('open', 2);
  await page.waitForFunction(() => window.ws?.state === 'open');
  const events = await page.evaluate(() => window.log.filter(({ type }) => type === 'close' || type === 'open').map(({ type }) => type));
  assert.deepEqual(events, ['open', 'close', 'open'], 'the same page, not a new one');
});

test('sending is paced under a server that does not read', async (t) => {
  const server = await start(t, '--mode', 'sink');
  const page = await newPage(t);
  await connect(page, server.url, { highWater: 1 << 18, queue: { maxBytes: 1 << 22 } });
  await send(page, '/pause 1500');
  const { most, took } = await page.evaluate(async () => {
    const began = performance.now();
    let highest = 0;
    for (let i = 0; i < 160; ++i) {
      await window.ws.send(new Uint8Array(1 << 17));
      highest = Math.max(highest, window.ws.bufferedAmount);
    }
    return { most: highest, took: performance.now() - began };
  });
  assert.ok(took > 800, `it waited: ${took} ms`);
  assert.ok(most <= (1 << 18) + (1 << 17), `${most} bytes in the browser`);
  await page.evaluate(() => window.ws.close());
  assert.equal((await server.event('close')).clean, true);
});

test('offline: only missing beats tell, and no new connection succeeds; online: at once', async (t) => {
  const server = await start(t, '--app-beat-ms', 200);
  const page = await newPage(t);
  await connect(page, server.url, { beat: true });
  await page.waitForFunction(() => window.ws.beatInterval === 200);
  await page.context().setOffline(true);
  const { code, reason, willReconnect } = await seen(page, 'close');
  assert.deepEqual([code, reason, willReconnect], [1006, 'no beat for 2.5 intervals of 200 ms', true]);
  await page.evaluate((url) => window.startPlain(url), server.url);
  await page.waitForFunction(() => window.log.filter((event) => event.type === 'close' && event.willReconnect === undefined && event.code === 1006).length === 1);
  assert.equal(server.count('open'), 1);
  await page.evaluate(() => { window.ws = window.client; });
  assert.equal(await page.evaluate(() => window.ws.state), 'waiting', 'for up to an hour');
  await page.context().setOffline(false);
  await server.until('open', 2);
  await page.waitForFunction(() => window.ws.state === 'open');
});

test('two tabs hear each other', async (t) => {
  const server = await start(t, '--mode', 'broadcast');
  const one = await newPage(t);
  const other = await newPage(t);
  await connect(one, server.url);
  await connect(other, server.url);
  await send(one, 'from one');
  await send(other, 'from the other');
  for (const page of [one, other]) {
    await seen(page, 'message', { data: 'from one' });
    await seen(page, 'message', { data: 'from the other' });
  }
});

for (const beat of ['query', 'subprotocol']) {
  test(`beats by ${beat}: hidden from the page, and their absence is noticed`, async (t) => {
    const server = await start(t, '--app-beat-ms', 200);
    const proxy = await TcpProxy.start(server.port);
    t.after(() => proxy.stop());
    const page = await newPage(t);
    await connect(page, proxy.url, { beat });
    await page.waitForFunction(() => window.ws.beatInterval === 200);
    proxy.silence();
    const { code, wasClean, willReconnect } = await seen(page, 'close');
    assert.deepEqual([code, wasClean, willReconnect], [1006, false, true]);
    assert.equal(await page.evaluate(() => window.log.filter(({ type }) => type === 'message').length), 0);
  });
}

for (const [how, options] of [
  ['query', { credentials: { query: { token: 's3cret' } } }],
  ['subprotocol', { protocols: ['v1'], credentials: { subprotocol: 's3cret' } }],
  ['user info', { credentials: { user: 'me', password: 's3cret' } }],
  ['cookie', {}],
]) {
  test(`token by ${how}`, async (t) => {
    const server = await start(t, '--token', 's3cret', '--subprotocols', 'v1');
    const page = await newPage(t);
    if (how === 'cookie') await page.evaluate(() => { document.cookie = 'token=s3cret'; });
    await connect(page, server.url, options);
    await server.event('open');
    // User info is sent only when the server has asked for it by a 401.
    assert.equal(server.count('refused'), how === 'user info' ? 1 : 0);
  });
}
