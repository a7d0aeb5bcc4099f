// Makes docs/images: the page of wsbeat-server, light, dark and as on a phone, over a server with clients of many kinds.
// usage: node scripts/screenshots.mjs [PROGRAM]; PROGRAM is build/dev/bin/wsbeat-server unless given. Needs `scripts/setup.sh test`.
import {mkdirSync, statSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

import {Client, launch, Server} from '../tests/dashboard/support.mjs';

const root = new URL('../', import.meta.url);
process.env.WSBEAT_SERVER = process.argv[2] ?? fileURLToPath(new URL('build/dev/bin/wsbeat-server', root));
const folder = fileURLToPath(new URL('docs/images/', root));
const token = 'for-screenshots';
const watchMs = 26000;  // enough heartbeats for a line of round trips

const around = (mean, spread) => () => Math.max(1, Math.round(mean + (Math.random() + Math.random() - 1) * spread));

// Some answer from far away, some talk, one does not read, one will not answer any more.
async function populate(port) {
  const timers = [];
  const kinds = [
    {path: '/chat/lobby', subprotocol: 'v2.0', pongMs: around(34, 14), sayMs: 180},
    {path: '/chat/lobby', subprotocol: 'v2.0', pongMs: around(88, 50), sayMs: 420},
    {path: '/prices/stream', subprotocol: 'v1.5', pongMs: around(12, 6), sayMs: 90},
    {path: '/game/room/42', subprotocol: 'v2.0', pongMs: around(55, 20), sayMs: 250},
    {path: '/telemetry?device=7', pongMs: around(170, 120), sayMs: 900},
    {path: '/chat/support', subprotocol: 'v2.0', pongMs: around(26, 8)},
  ];
  const clients = [];
  for (const {sayMs, ...options} of kinds) {
    const client = await Client.connect(port, options);
    if (sayMs) timers.push(setInterval(() => client.send(`{"tick":${Date.now()}}`), sayMs));
    clients.push(client);
  }
  const slow = await Client.connect(port, {path: '/export/all', pongMs: around(40, 10)});
  slow.send('/flood 9000 1024');
  slow.stopReading();
  return {timers, clients, slow};
}

// Ends of every kind, one after the other.
async function endSome(port) {
  for (let n = 0; n < 9; ++n) {
    const client = await Client.connect(port, {path: '/chat/lobby', subprotocol: 'v2.0'});
    client.close(n % 3 === 0 ? 1001 : 1000, n % 3 === 0 ? '' : 'bye');
    await client.ended;
  }
  for (let n = 0; n < 3; ++n) (await Client.connect(port, {path: '/game/room/7', subprotocol: 'v2.0'})).reset();
  for (let n = 0; n < 2; ++n) await Client.connect(port, {path: '/telemetry', pongMs: () => null});
  (await Client.connect(port, {path: '/prices/stream', subprotocol: 'v1.5'})).sendBytes([0xff, 0xfe]);
  (await Client.connect(port, {path: '/admin'})).send('/close 4403 not for you');
  (await Client.connect(port, {path: '/chat/lobby', subprotocol: 'v2.0'})).close(4001, 'signed in elsewhere');
}

async function tryConsole(page) {
  await page.fill('#protocols', 'v2.0');
  await page.click('#connect-button');
  for (const text of ['hello', 'is anybody there?']) {
    await page.fill('#text', text);
    await page.click('#send-button');
    await page.locator('#console-log .received', {hasText: text}).waitFor();
  }
  await page.waitForFunction(() => document.querySelectorAll('#rows tr').length >= 8);
}

// A page over which time may pass until save().
async function shoot(browser, url, name, options, useConsole = false) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  await page.goto(url);
  await page.fill('#access-token', token);
  await page.click('#access button');
  await page.waitForFunction(() => document.querySelectorAll('#rows tr').length >= 7);
  return {
    async save() {
      if (useConsole) await tryConsole(page);
      await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
      const path = `${folder}${name}.png`;
      await page.screenshot({path, fullPage: useConsole});
      console.log(`${name}.png ${Math.round(statSync(path).size / 1024)} KiB`);
      await context.close();
    },
  };
}

mkdirSync(folder, {recursive: true});
const server = await Server.start('--heartbeat-ms', '1000', '--heartbeat-timeout-ms', '700', '--subprotocols', 'v2.0,v1.5', '--dashboard-token', token,
  '--commands', '--liveness', 'pong', '--max-queue-bytes', '8388608');
const {timers, clients} = await populate(server.port);
await endSome(server.port);
const browser = await launch();
const views = [
  await shoot(browser, server.url, 'dashboard-light', {viewport: {width: 1280, height: 1090}, colorScheme: 'light'}),
  await shoot(browser, server.url, 'dashboard-dark', {viewport: {width: 1280, height: 900}, colorScheme: 'dark'}, true),
  await shoot(browser, server.url, 'dashboard-phone', {viewport: {width: 390, height: 1180}, deviceScaleFactor: 1.5, isMobile: true}),
];
await new Promise(resolve => setTimeout(resolve, watchMs));
for (const view of views) await view.save();
timers.forEach(clearInterval);
await browser.close();
for (const client of clients) client.reset();
await server.stop();
process.exit(0);
