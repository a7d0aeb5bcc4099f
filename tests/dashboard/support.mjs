// A wsbeat-server, raw WebSocket clients that answer as they are told, and Debian's Chromium, for the tests and scripts/screenshots.mjs.
import {spawn} from 'node:child_process';
import {createHash, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {connect as connectTcp} from 'node:net';
import {createInterface} from 'node:readline';

import {chromium} from 'playwright-core';

const patienceMs = 10000;

// Rejects with `what` after the time that anything here may take.
export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`in ${patienceMs} ms no ${what}`)), patienceMs); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A running server; events are those of --events. Stop it by stop().
export class Server {
  static async start(...flags) {
    const program = process.env.WSBEAT_SERVER;
    if (!program) throw new Error('set WSBEAT_SERVER to the wsbeat-server to test');
    const server = new Server(spawn(program, ['--port', '0', '--events', ...flags], {stdio: ['ignore', 'pipe', 'pipe']}));
    server.port = (await server.event('listening')).port;
    server.url = `http://127.0.0.1:${server.port}/`;
    return server;
  }

  constructor(child) {
    this.child = child;
    this.events = [];
    this.waiting = [];
    this.stderr = '';
    this.ended = once(child, 'close');
    createInterface({input: child.stdout}).on('line', line => {
      this.events.push(JSON.parse(line));
      this.waiting = this.waiting.filter(look => !look());
    });
    child.stderr.setEncoding('utf8').on('data', text => { this.stderr += text; });
  }

  // The first event of that name with these fields, also one that came before.
  event(name, fields = {}) {
    const fits = event => event.event === name && Object.entries(fields).every(([key, value]) => event[key] === value);
    return within(new Promise(resolve => {
      const look = () => {
        const found = this.events.find(fits);
        if (found) resolve(found);
        return Boolean(found);
      };
      if (!look()) this.waiting.push(look);
    }), `event ${name} ${JSON.stringify(fields)}; stderr: ${this.stderr}`);
  }

  async stop() {
    if (this.child.exitCode === null) this.child.kill('SIGTERM');
    await within(this.ended, 'end of the server');
  }
}

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';  // RFC 6455, 1.3
const text = 1, close = 8, ping = 9, pong = 10;

// A masked frame (RFC 6455, 5.2).
function frame(opcode, payload) {
  const mask = randomBytes(4);
  const head = payload.length < 126 ? Buffer.from([0x80 | opcode, 0x80 | payload.length])
    : Buffer.from([0x80 | opcode, 0xFE, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ mask[at & 3])]);
}

// Answers pings after `pongMs()` milliseconds (null: never) and Closes at once. Messages are counted only.
export class Client {
  static async connect(port, {path = '/', subprotocol = '', headers = {}, pongMs = () => 0} = {}) {
    const key = randomBytes(16).toString('base64');
    const socket = connectTcp(port, '127.0.0.1');
    await within(once(socket, 'connect'), 'TCP connection');
    const lines = [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${key}`, ...(subprotocol ? [`Sec-WebSocket-Protocol: ${subprotocol}`] : []),
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const client = new Client(socket, pongMs);
    const head = await within(client.head, 'answer to the handshake');
    const accept = createHash('sha1').update(key + guid).digest('base64');
    if (!head.includes(accept)) throw new Error(`refused: ${head.split('\r\n')[0]}`);
    return client;
  }

  constructor(socket, pongMs) {
    this.socket = socket;
    this.pongMs = pongMs;
    this.input = Buffer.alloc(0);
    this.messages = 0;
    this.ended = new Promise(resolve => socket.once('close', resolve));
    this.closed = new Promise(resolve => { this.tellClosed = resolve; });
    this.head = new Promise(resolve => { this.tellHead = resolve; });
    this.open = false;
    socket.on('error', () => {});
    socket.on('data', data => {
      this.input = Buffer.concat([this.input, data]);
      this.read();
    });
  }

  read() {
    if (!this.open) {
      const end = this.input.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.open = true;
      this.tellHead(this.input.subarray(0, end).toString('latin1'));
      this.input = this.input.subarray(end + 4);
    }
    while (this.input.length >= 2) {
      const short = this.input[1] & 127;
      const at = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (this.input.length < at) return;
      const length = short === 126 ? this.input.readUInt16BE(2) : short === 127 ? Number(this.input.readBigUInt64BE(2)) : short;
      if (this.input.length < at + length) return;
      this.take(this.input[0] & 15, this.input.subarray(at, at + length));
      this.input = this.input.subarray(at + length);
    }
  }

  take(opcode, payload) {
    if (opcode === ping) {
      const delay = this.pongMs();
      const answer = frame(pong, Buffer.from(payload));
      if (delay === 0) this.socket.write(answer);
      else if (delay !== null) setTimeout(() => this.socket.write(answer), delay);
    } else if (opcode === close) {
      this.tellClosed({code: payload.length >= 2 ? payload.readUInt16BE(0) : 1005, reason: payload.subarray(2).toString()});
      if (!this.socket.writableEnded) this.socket.write(frame(close, Buffer.from(payload)));
    } else {
      ++this.messages;
    }
  }

  send(message) {
    this.socket.write(frame(text, Buffer.from(message)));
  }

  // Any bytes as text message.
  sendBytes(bytes) {
    this.socket.write(frame(text, Buffer.from(bytes)));
  }

  close(code, reason = '') {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    this.socket.write(frame(close, payload));
  }

  stopReading() {
    this.socket.pause();
  }

  // Without a Close.
  reset() {
    this.socket.resetAndDestroy();
  }
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--force-color-profile=srgb', '--hide-scrollbars'],
  });
}
