// npm's ws as a client. One case for each run: node ws_client.mjs CASE URL, certificate to trust in CA_FILE, "1" in DEFLATE.
// Prints a line of JSON with what was seen; test_npm_ws.py judges it.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import WebSocket from 'ws';

const [name, url] = process.argv.slice(2);
const settings = {
  ca: process.env.CA_FILE ? readFileSync(process.env.CA_FILE) : undefined,
  perMessageDeflate: process.env.DEFLATE === '1' ? { threshold: 0 } : false,
  maxPayload: 1 << 21,
};

async function open(subprotocols = [], options = {}) {
  const ws = new WebSocket(url, subprotocols, { ...settings, ...options });
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

const cases = {
  async echo() {
    const messages = ['hello', '', 'grüße κόσμε \u{1f600}', 'x'.repeat(200), 'compress me '.repeat(1000), 'x'.repeat(1 << 20),
      Buffer.from([0, 255, 254]), Buffer.alloc(0), Buffer.alloc(300, 'y'), randomBytes(1 << 20)];
    const ws = await open();
    const extensions = ws.extensions;
    const same = [];
    for (const message of messages) same.push(await comesBack(ws, message));
    ws.close(1000, 'done');
    return { extensions, same, ...(await closed(ws)) };
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

  // Says that it is open, then waits for the end.
  async stop() {
    const ws = await open();
    const same = await comesBack(ws, 'up');
    console.log(JSON.stringify({ same }));
    return closed(ws);
  },
};

console.log(JSON.stringify(await cases[name]()));
