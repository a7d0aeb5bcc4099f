// Durable topics in a real Chromium, through nginx to two servers that are restarted and killed: nothing is lost, nothing comes twice.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { SUBPROTOCOL, Topics } from '../../clients/js/topics.js';
import { WsBeat } from '../../clients/js/wsbeat.js';
import { Cluster, missing } from '../support/cluster.mjs';
import { launch, openPage, servePages } from './browser.mjs';

const WebSocket = createRequire(new URL('../js/package.json', import.meta.url))('ws');
const absent = missing();
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
process.on('exit', (code) => process.exit(code)); // as in browser.test.mjs

// Publishes without end until told to stop, then gives the data of all by their places in the stream.
function publisher(url) {
  const socket = new WsBeat(url, { protocols: SUBPROTOCOL, WebSocket, reconnect: { minDelay: 100 } });
  const topics = new Topics(socket);
  const results = [];
  let publishing = true;
  const done = (async () => {
    const pending = [];
    for (let number = 0; publishing; ++number) {
      const data = `node ${number}`;
      pending.push(topics.publish(`orders.${number % 3}`, data, { once: true }).then(({ sequence }) => results.push([sequence, data])));
      await wait(5);
    }
    await Promise.all(pending);
    socket.close();
    return results;
  })();
  return () => {
    publishing = false;
    return done;
  };
}

test('a page loses no durable message while the server that it is on is restarted, or killed', { skip: absent && `there is no ${absent}` }, async (t) => {
  const cluster = await Cluster.start('--origin', 'http://127.0.0.1:*', '--durable', 'orders.>');
  t.after(() => cluster.stop());
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await openPage(context, pages.url);
  await page.evaluate((url) => window.startTopics(url), `${cluster.url}page`);
  const stop = publisher(`${cluster.url}publisher`);
  const counts = { restarts: 0, kills: 0 };
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL']) {
    const number = await cluster.serverOf('/page');
    const before = await page.evaluate(() => window.got.length);
    await cluster.servers[number].stop(signal);
    await page.waitForFunction((count) => window.got.length > count + 150, before); // on the other one
    await cluster.startServer(number);
    counts[signal === 'SIGTERM' ? 'restarts' : 'kills'] += 1;
  }
  const published = await stop();
  const own = await page.evaluate(() => window.finish());
  const all = [...published, ...own].sort(([one], [other]) => one - other);
  const last = all.at(-1)[0];
  await page.waitForFunction((sequence) => window.got.length > 0 && window.got.at(-1)[0] >= sequence, last);
  const { got, narrow, missed } = await page.evaluate(() => ({ got: window.got, narrow: window.narrow, missed: window.missed }));
  assert.deepEqual(got, all, 'all, in order, and each once');
  assert.deepEqual(narrow, all.filter(([, data]) => Number(data.split(' ')[1]) % 3 === 1), 'the same with a pattern within the other');
  assert.equal(missed, 0);
  t.diagnostic(`${all.length} messages published, ${own.length} of them by the page, ${got.length} received, 0 lost, 0 doubled; ${JSON.stringify(counts)}`);
});
