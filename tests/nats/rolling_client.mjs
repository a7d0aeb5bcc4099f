// WsBeat and Topics by the hundred: subscribers that go on by themselves, and publishers whose messages are to be stored once.
// usage: rolling_client.mjs URL SUBSCRIBERS PUBLISHERS GROUPS PAUSE_MS. Prints "ready" when all have subscribed, publishes after the first line of
// stdin, stops at the second and prints what was acknowledged, and ends at the third, printing what each subscriber has seen; all as JSON.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

import { SUBPROTOCOL, Topics } from '../../clients/js/topics.js';
import { WsBeat } from '../../clients/js/wsbeat.js';

const WebSocket = createRequire(new URL('../js/package.json', import.meta.url))('ws');
const [url, ...numbers] = process.argv.slice(2);
const [subscribers, publishers, groups, pause] = numbers.map(Number);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => new Promise((resolve) => process.stdout.write(`${JSON.stringify(value)}\n`, resolve));

function connect() {
  const socket = new WsBeat(url, { protocols: SUBPROTOCOL, WebSocket }); // its defaults: first delay below a second, at random
  const client = { socket, topics: new Topics(socket), returns: [], closes: 0 };
  socket.addEventListener('close', () => { client.closes += 1; });
  socket.addEventListener('state', ({ state }) => {
    if (state === 'connecting') client.returns.push(Date.now() / 1000);
  });
  return client;
}

async function subscribe(number) {
  const client = Object.assign(connect(), { pattern: `load.${number % groups}`, seen: [], missed: 0 });
  client.topics.addEventListener('missed', () => { client.missed += 1; });
  await client.topics.subscribe(client.pattern, (data, topic, sequence) => client.seen.push([sequence, data]));
  return client;
}

const all = [];
while (all.length < subscribers) {
  const batch = Array.from({ length: Math.min(50, subscribers - all.length) }, (_, at) => subscribe(all.length + at));
  all.push(...await Promise.all(batch));
}
await say('ready');
await lines.next();

let publishing = true;
const results = [];
const publishing_ = Array.from({ length: publishers }, async (_, publisher) => {
  const client = connect();
  const pending = [];
  for (let number = 0; publishing; ++number) {
    const [topic, data] = [`load.${(number * publishers + publisher) % groups}`, `${publisher}:${number}`];
    pending.push(client.topics.publish(topic, data, { once: true }).then(({ sequence, duplicate }) => results.push({ topic, data, sequence, duplicate })));
    await wait(pause);
  }
  await Promise.all(pending);
  client.socket.close();
});
await lines.next();
publishing = false;
await Promise.all(publishing_);
await say(results);
await lines.next();
await say(all.map(({ pattern, seen, missed, returns, closes }) => ({ pattern, seen, missed, returns, closes })));
process.exit(0);
