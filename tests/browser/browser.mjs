// One real Chromium, the page that it loads, and what the tests ask of them.
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import http from 'node:http';
import { chromium } from 'playwright-core';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const CLIENT = new URL('../../clients/js/', import.meta.url);

// `log` has every event that the page saw; it is read from outside.
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>test</title>
<script type="module">
import { WsBeat } from './wsbeat.js';
import { Topics, SUBPROTOCOL } from './topics.js';
window.log = [];
window.start = (url, options = {}) => {
  const ws = (window.ws = window.client = new WsBeat(url, { reconnect: { minDelay: 3600000, maxDelay: 3600000 }, ...options }));
  for (const type of ['open', 'close', 'message', 'state']) {
    ws.addEventListener(type, (event) => {
      const { code, reason, wasClean, willReconnect, delay, data, state } = event;
      window.log.push({ type, code, reason, wasClean, willReconnect, delay, data, state, at: performance.now() });
    });
  }
};
// The browser's own class, to see what it does by itself.
window.startPlain = (url, protocols) => {
  const ws = (window.ws = new WebSocket(url, protocols ?? []));
  ws.onopen = () => window.log.push({ type: 'open' });
  ws.onmessage = ({ data }) => window.log.push({ type: 'message', data });
  ws.onclose = ({ code, reason, wasClean }) => window.log.push({ type: 'close', code, reason, wasClean });
};
// Listens to durable topics with two patterns, and publishes to them itself until it has to finish.
window.startTopics = async (url) => {
  Object.assign(window, { got: [], narrow: [], missed: 0 });
  const topics = new Topics(new WsBeat(url, { protocols: SUBPROTOCOL, reconnect: { minDelay: 100 } }));
  topics.addEventListener('missed', () => { window.missed += 1; });
  await topics.subscribe('orders.*', (data, topic, sequence) => window.got.push([sequence, data]));
  await topics.subscribe('orders.1', (data, topic, sequence) => window.narrow.push([sequence, data]));
  const [results, pending] = [[], []];
  let number = 0;
  const timer = setInterval(() => {
    const data = 'page ' + number;
    pending.push(topics.publish('orders.' + (number++ % 3), data, { once: true }).then(({ sequence }) => results.push([sequence, data])));
  }, 20);
  window.finish = async () => {
    clearInterval(timer);
    await Promise.all(pending);
    return results;
  };
};
window.ready = true;
</script>`;

export async function servePages() {
  const server = http.createServer((request, response) => {
    const [script] = /[a-z_]+\.js$/.exec(request.url) ?? [];
    response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html');
    response.end(script ? readFileSync(new URL(script, CLIENT)) : PAGE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/`, stop: () => { server.closeAllConnections(); server.close(); } };
}

// Playwright switches the back-forward cache off; people have it on.
export function launch() {
  return chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: FLAGS,
    ignoreDefaultArgs: ['--disable-back-forward-cache'], handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false });
}

export async function openPage(context, url) {
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForFunction(() => window.ready);
  return page;
}

// The first event of the page's log that fits, waiting for it.
export async function seen(page, type, fields = {}, timeout = 20000) {
  const handle = await page.waitForFunction(([wanted, values]) => window.log.find((event) => event.type === wanted &&
    Object.entries(values).every(([name, value]) => event[name] === value)), [type, fields], { timeout, polling: 20 });
  return handle.jsonValue();
}

export async function connect(page, url, options) {
  await page.evaluate(([to, how]) => window.start(to, how), [url, options]);
  await seen(page, 'open');
}

export async function connectPlain(page, url) {
  await page.evaluate((to) => window.startPlain(to), url);
  await seen(page, 'open');
}

export const send = (page, text) => page.evaluate((data) => { window.ws.send(data); }, text);
