// JavaScript clients that number their messages, keep each until its echo has come, and send what is left when WsBeat has reconnected.
// usage: sender.mjs URL COOKIE... prints "connected" once all are, ends at the first line of stdin, and prints what each has seen as JSON.
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { createRequire } from 'node:module';

import { WsBeat } from '../../clients/js/wsbeat.js';

const WebSocket = createRequire(new URL('../js/package.json', import.meta.url))('ws');
const IN_FLIGHT = 8;
const PAUSE_MS = 2; // so that some are under way at every moment of a restart
const [url, ...cookies] = process.argv.slice(2);
let finishing = false;

function start(cookie) {
  const seen = { numbered: 0, acknowledged: [], closes: [], opens: 0 };
  const waiting = new Set();
  const headers = cookie === '-' ? {} : { Cookie: `wsbeat=${cookie}` };
  const ws = new WsBeat(url, { WebSocket, socketOptions: { headers }, reconnect: { minDelay: 200, maxDelay: 1000 } });
  ws.onopen = () => {
    seen.opens += 1;
    for (const number of waiting) ws.send(String(number));
  };
  ws.onmessage = ({ data }) => {
    seen.acknowledged.push(Number(data));
    waiting.delete(Number(data));
  };
  ws.onclose = ({ code, wasClean }) => seen.closes.push([code, wasClean]);
  const done = (async () => {
    while (!finishing || waiting.size !== 0 || ws.readyState !== WsBeat.OPEN) {
      if (!finishing && ws.readyState === WsBeat.OPEN && waiting.size < IN_FLIGHT) {
        waiting.add(seen.numbered);
        ws.send(String(seen.numbered));
        seen.numbered += 1;
      }
      await wait(PAUSE_MS);
    }
    ws.close(1000);
    return seen;
  })();
  return { connected: once(ws, 'open'), done };
}

const clients = cookies.map(start);
await Promise.all(clients.map(({ connected }) => connected));
console.log('connected');
await once(process.stdin, 'data');
finishing = true;
const all = JSON.stringify(await Promise.all(clients.map(({ done }) => done)));
process.stdout.write(`${all}\n`, () => process.exit(0));
