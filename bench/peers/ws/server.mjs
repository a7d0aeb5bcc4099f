// npm ws as its README has it, with bufferutil, which it recommends. Nothing of wsbeat is used here.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { parseArgs } from 'node:util';
import WebSocket, { WebSocketServer } from 'ws';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    broadcast: { type: 'boolean', default: false },
    deflate: { type: 'boolean', default: false },
    cert: { type: 'string' },
    key: { type: 'string' },
    heartbeat: { type: 'string', default: '0' },
  },
});

const server = options.cert
  ? https.createServer({ cert: readFileSync(options.cert), key: readFileSync(options.key) })
  : http.createServer();
const wss = new WebSocketServer({
  server,
  perMessageDeflate: options.deflate ? { zlibDeflateOptions: { level: 1 }, threshold: 256 } : false,
});

wss.on('connection', (ws) => {
  ws.isAlive = true;
  ws.on('error', () => {});
  ws.on('pong', () => { ws.isAlive = true; });
  if (options.broadcast) {
    ws.on('message', (data, binary) => {
      for (const client of wss.clients) {
        if (client.readyState === WebSocket.OPEN) client.send(data, { binary });
      }
    });
  } else {
    ws.on('message', (data, binary) => ws.send(data, { binary }));
  }
});

if (options.heartbeat !== '0') {
  setInterval(() => {
    for (const ws of wss.clients) {
      if (!ws.isAlive) {
        ws.terminate();
        continue;
      }
      ws.isAlive = false;
      ws.ping();
    }
  }, Number(options.heartbeat) * 1000);
}

server.listen({ port: Number(options.port), host: '127.0.0.1', backlog: 1024 }, () => {
  console.log(`listening ${server.address().port}`);
});
