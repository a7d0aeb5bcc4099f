// npm's ws as a client. One case for each run: node ws_client.mjs CASE URL, certificate to trust in CA_FILE, "1" in DEFLATE, size of
// large messages in LARGE_BYTES, limit for received ones in LIMIT_BYTES.
// Prints a line of JSON with what was seen; test_npm_ws.py judges it.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import WebSocket from 'ws';

const [name, url] = process.argv.slice(2);
const largeBytes = Number(process.env.LARGE_BYTES);
const settings = {
  ca: process.env.CA_FILE ? readFileSync(process.env.CA_FILE) : undefined,
  perMessageDeflate: process.env.DEFLATE === '1' ? { threshold: 0 } : false,
  maxPayload: Number(process.env.LIMIT_BYTES),
};
const messages = ['hello', '', 'grüße κόσμε \u{1f600}', 'x'.repeat(200), 'compress me '.repeat(1000), 'x'.repeat(1 << 20),
  Buffer.from([0, 255, 254]), Buffer.alloc(0), Buffer.alloc(300, 'y'), randomBytes(1 << 20)];

async function open(subprotocols = [], options = {}) {
  const ws = new WebSocket(url, subprotocols, { ...settings, ...options });
  ws.once('upgrade', (response) => {
    ws.answeredExtensions = response.headers['sec-websocket-extensions'];
  });
  await once(ws, 'open');
  return ws;
}

async function closed(ws) {
  const [code, reason] = await once(ws, 'close');
  return { code, reason: reason.toString() };
}

// Sends one message and gives whether the same came back.
async function comesBack(ws, message) {
  const binary = typeof message !== 'string';
  ws.send(message);
  const [data, isBinary] = await once(ws, 'message');
  return isBinary === binary && data.equals(Buffer.from(message));
}

async function allComeBack(ws, messages) {
  const same = [];
  for (const message of messages) same.push(await comesBack(ws, message));
  return same;
}

const cases = {
  async echo() {
    const ws = await open();
    const extensions = ws.extensions;
    const same = await allComeBack(ws, messages);
    ws.close(1000, 'done');
    return { extensions, same, ...(await closed(ws)) };
  },

  async large() {
    const ws = await open();
    const same = await allComeBack(ws, [randomBytes(largeBytes), '0123456789 grüße\n'.repeat(largeBytes / 20)]);
    ws.close(1000);
    return { same, ...(await closed(ws)) };
  },

  async parameters() {
    const perMessageDeflate = { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 10,
      clientMaxWindowBits: 11 };
    const ws = await open([], { perMessageDeflate });
    const same = await allComeBack(ws, messages);
    ws.close(1000);
    return { extensions: ws.answeredExtensions, same, ...(await closed(ws)) };
  },

  async fragments() {
    const ws = await open();
    ws.send('one ', { fin: false });
    ws.send('two ', { fin: false });
    ws.send('three', { fin: true });
    const [data] = await once(ws, 'message');
    ws.close(1000);
    return { text: data.toString(), ...(await closed(ws)) };
  },

  async subprotocol() {
    const ws = await open(['other', 'v1.5', 'v2.0']);
    const subprotocol = ws.protocol;
    ws.close(1000);
    return { subprotocol, ...(await closed(ws)) };
  },

  async theirs() {
    const ws = await open();
    ws.close(4321, 'grüße');
    return closed(ws);
  },

  async ours() {
    const ws = await open();
    ws.send('/close 4002 enough of this');
    return closed(ws);
  },

  async pings() {
    const ws = await open();
    ws.ping('payload');
    const [pong] = await once(ws, 'pong');
    ws.send('/ping');
    await once(ws, 'ping'); // ws has queued its pong by then
    const same = await comesBack(ws, 'behind it');
    ws.close(1000);
    return { pong: pong.toString(), same, ...(await closed(ws)) };
  },

  async token() {
    const refused = new WebSocket(url, [], settings);
    refused.on('error', () => {});
    const [, response] = await once(refused, 'unexpected-response');
    const status = response.statusCode;
    refused.terminate();
    const ws = await open([], { headers: { Authorization: 'Bearer secret' } });
    const same = await comesBack(ws, 'in');
    ws.close(1000);
    return { status, challenge: response.headers['www-authenticate'], same, ...(await closed(ws)) };
  },

  async terminate() {
    const ws = await open();
    ws.terminate();
    return closed(ws);
  },

  async 'too big for the server'() {
    const ws = await open();
    ws.send('x'.repeat((1 << 20) + 1));
    return closed(ws);
  },

  async 'too big for the client'() {
    const ws = await open([], { maxPayload: 1000 });
    let error;
    ws.on('error', (it) => {
      error = it.code;
    });
    ws.send('x'.repeat(1001));
    return new Promise((resolve) => {
      ws.on('close', (code, reason) => resolve({ error, code, reason: reason.toString() }));
    });
  },

  // Says that it is open, then waits for the end.
  async idle() {
    const ws = await open();
    const same = await comesBack(ws, 'up');
    console.log(JSON.stringify({ same }));
    return closed(ws);
  },
};

console.log(JSON.stringify(await cases[name]()));
