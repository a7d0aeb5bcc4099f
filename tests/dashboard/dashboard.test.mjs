// The dashboard in real Chromium: what an operator sees and does, with mouse out of reach, on a phone, in the dark, under attack.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, test} from 'node:test';

import {Client, launch, Server} from './support.mjs';

const secret = 'd4sh ü&board';
const limit = {timeout: 30000};
let browser;

before(async () => { browser = await launch(); });
after(() => browser?.close());

// A page in a context of its own. Whatever it logs as an error, asks of anyone else, or is stopped from by its policy fails the test;
// `expected` says which errors belong to the test.
async function visit(t, server, {expected = /^$/, ...options} = {}) {
  const context = await browser.newContext({viewport: {width: 1280, height: 900}, ...options});
  const page = await context.newPage();
  page.setDefaultTimeout(10000);
  const wrong = [];
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type()) && !expected.test(message.text())) wrong.push(message.text());
  });
  page.on('pageerror', error => wrong.push(error.stack));
  page.on('request', request => {
    if (!request.url().startsWith(server.url)) wrong.push(`asked for ${request.url()}`);
  });
  page.on('websocket', socket => {
    if (!socket.url().startsWith(server.url.replace('http', 'ws'))) wrong.push(`connected to ${socket.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  await page.goto(server.url);
  return page;
}

async function serve(t, ...flags) {
  const server = await Server.start(...flags);
  t.after(() => server.stop());
  return server;
}

const row = (page, path) => page.locator('#rows tr').filter({has: page.getByText(path, {exact: true})});
const cell = (page, path, label) => row(page, path).locator(`[data-label="${label}"]`);
const shows = (locator, text) => locator.filter({hasText: text}).first().waitFor();

// Presses Tab until `isThere` says so of the focused element; nothing but the keyboard is used.
async function tabTo(page, description, isThere) {
  for (let presses = 0; presses < 60; ++presses) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(isThere)) return;
  }
  assert.fail(`Tab does not lead to ${description}`);
}

test('connections, round trips and ends are shown as they come', limit, async t => {
  const server = await serve(t, '--heartbeat-ms', '200', '--subprotocols', 'v2.0', '--commands');
  const page = await visit(t, server);
  await shows(page.locator('#feed-text'), 'live');
  await shows(page.locator('#uptime'), /^up \d+ s$/);
  await shows(page.locator('#no-rows'), 'No connection is open.');
  const client = await Client.connect(server.port, {path: '/chat', subprotocol: 'v2.0', pongMs: () => 12});
  await shows(cell(page, '/chat', 'State'), 'open');
  await shows(cell(page, '/chat', 'Subprotocol'), 'v2.0');
  await shows(cell(page, '/chat', 'Address'), `127.0.0.1:${client.socket.localPort}`);
  await shows(cell(page, '/chat', 'Round trip'), /^[\d.]+ ms$/);
  await page.waitForFunction(() => document.querySelector('#rows .spark .stroke').getAttribute('d').split('L').length >= 4);
  await shows(cell(page, '/chat', 'Heartbeat due'), /ping within 200 ms|answer within 100 ms/);
  await shows(cell(page, '/chat', 'Last seen'), 'now');
  await shows(cell(page, '/chat', 'Age'), /^[2-9] s$/);
  await shows(cell(page, '/chat', 'Queue'), 'empty');
  assert.equal(await page.locator('#open').textContent(), '1');

  const slow = await Client.connect(server.port, {path: '/slow', pongMs: () => 1});
  slow.stopReading();
  slow.send('/flood 20000 1024');
  await shows(cell(page, '/slow', 'Queue'), /MiB, \d+ %/);
  assert.match(await page.locator('#rows tr').first().textContent(), /\/slow/, 'what needs attention comes first');
  slow.reset();

  client.close(4001, 'enough');
  await shows(page.locator('#ends-log li'), /peer close4001.*enough.*\/chat from 127\.0\.0\.1/);
  await shows(page.locator('#ends-log li'), /network error1006.*\/slow/);
  await shows(page.locator('#totals tr'), /peer close4001.*1/);
  await shows(page.locator('#ends-note'), '2 ended, 50 % with a Close both ways');
  await page.waitForFunction(() => document.querySelectorAll('#rows tr').length === 0);
});

test('what clients choose stays text', limit, async t => {
  const server = await serve(t, '--subprotocols', "&lt'`|x");
  const page = await visit(t, server);
  const attack = '"><img/src=x/onerror=window.pwned=1><script>window.pwned=1</script>';
  const path = `/${attack}`;
  const client = await Client.connect(server.port, {path, subprotocol: "&lt'`|x"});
  await row(page, path).waitFor();
  assert.equal(await cell(page, path, 'Subprotocol').textContent(), "&lt'`|x");
  client.close(4000, `${attack}\u202e\n`);
  const line = page.locator('#ends-log li').first();
  await line.waitFor();
  assert.equal(await line.locator('.reason').textContent(), `${attack}\u202e\n`);
  assert.equal(await line.locator('.path').textContent(), path);
  await page.fill('#text', attack);
  await page.click('#connect-button');
  await shows(page.locator('#state'), 'open');
  await page.click('#send-button');
  await shows(page.locator('#console-log .received'), attack);
  assert.equal(await page.locator('body img, body script').count(), 0);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
});

test('everything works by keyboard', limit, async t => {
  const server = await serve(t, '--dashboard-token', secret, '--subprotocols', 'v2.0');
  const client = await Client.connect(server.port, {path: '/to-be-closed'});
  const other = await Client.connect(server.port, {path: '/other'});
  const page = await visit(t, server, {expected: /status of 401/});
  await page.locator('#access').waitFor();
  await tabTo(page, 'the token', () => document.activeElement.id === 'access-token');
  await page.keyboard.type('wrong');
  await page.keyboard.press('Enter');
  await shows(page.locator('#access-note'), 'That is not the token.');
  await page.keyboard.press('Control+A');
  await page.keyboard.type(secret);
  await page.keyboard.press('Enter');
  await row(page, '/to-be-closed').waitFor();

  await tabTo(page, 'the order', () => document.activeElement.id === 'order');
  await page.keyboard.type('the oldest');
  await page.waitForFunction(() => document.querySelector('#rows tr')?.textContent.includes('/to-be-closed'));
  await tabTo(page, 'a row\'s button', () => document.activeElement.getAttribute('aria-label')?.includes('/to-be-closed'));
  // Focus outlives updates that change the rows around it.
  other.close(1000);
  await page.waitForFunction(() => document.querySelectorAll('#rows tr').length === 1);
  assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /to-be-closed/);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', {name: 'Close a connection'}).waitFor();
  await page.keyboard.press('Escape');
  assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /to-be-closed/, 'focus comes back');
  await page.keyboard.press('Enter');
  await page.keyboard.type('4002');
  await page.keyboard.press('Tab');
  await page.keyboard.type('by hand');
  await page.keyboard.press('Enter');
  assert.deepEqual(await client.closed, {code: 4002, reason: 'by hand'});
  await server.event('close', {code: 4002, cause: 'local_close'});
  await shows(page.locator('#ends-log li'), 'local close');

  await tabTo(page, 'the address', () => document.activeElement.id === 'url');
  await page.keyboard.press('Tab');
  await page.keyboard.type('v2.0');
  await page.keyboard.press('Enter');
  await shows(page.locator('#console-log li'), 'open, subprotocol v2.0');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'text', 'where one types next');
  await page.keyboard.type('hello');
  await page.keyboard.press('Enter');
  await shows(page.locator('#console-log .received'), '< hello');
  await tabTo(page, 'the code', () => document.activeElement.id === 'code');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('4321');
  await page.keyboard.press('Tab');
  await page.keyboard.type('done');
  await page.keyboard.press('Enter');
  await shows(page.locator('#console-log li'), 'closed: code 4321, reason "", wasClean true');
  await server.event('close', {code: 4321, reason: 'done'});  // the server's answer carries the code alone
});

test('names and roles are there for who does not see', limit, async t => {
  const server = await serve(t, '--dashboard-token', secret);
  await Client.connect(server.port, {path: '/one'});
  const page = await visit(t, server, {expected: /status of 401/, viewport: {width: 390, height: 844}});
  await page.fill('#access-token', secret);
  await page.click('#access button');
  await row(page, '/one').waitFor();
  const table = page.getByRole('table', {name: 'Connections'});
  assert.equal(await table.getByRole('row').count(), 2, 'a table also where it looks like cards');
  assert.equal(await table.getByRole('columnheader').count(), 10);
  assert.equal(await table.getByRole('rowheader').count(), 1);
  assert.equal(await table.getByRole('cell').count(), 9);
  const nameless = await page.evaluate(() => [...document.querySelectorAll('input, select, button, [role=region], [role=log], section, nav, table')].filter(node => {
    const labels = node.getAttribute('aria-labelledby')?.split(' ').map(id => document.getElementById(id)?.textContent).join('');
    return !(labels || node.getAttribute('aria-label') || node.labels?.[0]?.textContent.trim() || (node.matches('button') && node.textContent.trim()));
  }).map(node => node.outerHTML));
  assert.deepEqual(nameless, []);
  assert.deepEqual(await page.getByRole('heading').allTextContents().then(texts => texts.slice(0, 3)), ['wsbeat-server', 'Connections', 'Ends']);
});

// Contrast as WCAG 2 counts it, of an element's text on the first background behind it.
function contrast(selector) {
  const channel = value => value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = color => color.match(/[\d.]+/g).map(Number);
  const node = document.querySelector(selector);
  let behind = node;
  while (numbers(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const pair = [luminance(numbers(getComputedStyle(node).color)), luminance(numbers(getComputedStyle(behind).backgroundColor))];
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}

for (const colorScheme of ['light', 'dark']) {
  test(`readable in ${colorScheme}`, limit, async t => {
    const server = await serve(t);
    await Client.connect(server.port, {path: '/one'});
    const page = await visit(t, server, {colorScheme});
    await row(page, '/one').waitFor();
    (await Client.connect(server.port, {path: '/two'})).close(1000);
    await page.locator('#ends-log li').first().waitFor();
    const [back] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
    assert.ok(colorScheme === 'dark' ? back < 60 : back > 200, `background ${back}`);
    for (const selector of ['h1', '#feed', 'dt', '#open', '.more', '#rows .path', '#rows .small', '#rows .badge', '#ends-log time', '#ends-log .code', 'nav a',
      '#connect label', '#connect input', '#connect-button', '#totals .number']) {
      const ratio = await page.evaluate(contrast, selector);
      assert.ok(ratio >= 4.5, `${selector}: ${ratio.toFixed(2)}`);
    }
  });
}

test('a phone needs no scrolling sideways', limit, async t => {
  const server = await serve(t, '--subprotocols', 'a-subprotocol-with-a-name-that-goes-on-and-on.v2', '--dashboard-token', secret);
  const long = `/${'a-very-long-path-without-any-place-to-break'.repeat(4)}`;
  const client = await Client.connect(server.port, {path: long, subprotocol: 'a-subprotocol-with-a-name-that-goes-on-and-on.v2'});
  const page = await visit(t, server, {expected: /status of 401/, viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true});
  await page.fill('#access-token', secret);
  await page.tap('#access button');
  await page.locator('#rows tr').first().waitFor();
  (await Client.connect(server.port, {path: long})).close(4000, 'r'.repeat(120));
  await page.locator('#ends-log .reason').waitFor();
  await page.fill('#text', 'm'.repeat(300));
  await page.tap('#connect-button');
  await shows(page.locator('#state'), 'open');
  await page.tap('#send-button');
  await page.locator('#console-log .received').waitFor();
  const wide = await page.evaluate(() => ({
    page: document.documentElement.scrollWidth,
    nodes: [...document.querySelectorAll('main *, header *')].filter(node => node.getBoundingClientRect().right > 390.5 && !node.closest('.path, bdi, thead'))
      .map(node => node.outerHTML.slice(0, 80)),
  }));
  assert.deepEqual(wide, {page: 390, nodes: []});
  const small = await page.evaluate(() => [...document.querySelectorAll('button:not([hidden]), input, select')].filter(node => {
    const box = node.getBoundingClientRect();
    return box.width > 0 && box.height < 32;
  }).map(node => node.id));
  assert.deepEqual(small, [], 'large enough for a finger');
  await page.tap('#rows button');
  const dialog = await page.locator('#closing').boundingBox();
  assert.ok(dialog.x >= 0 && dialog.x + dialog.width <= 390);
  client.reset();
});

test('it comes back after the server did', limit, async t => {
  const server = await Server.start();
  const page = await visit(t, server, {expected: /ERR_CONNECTION_REFUSED|WebSocket connection/});
  await shows(page.locator('#feed-text'), 'live');
  await server.stop();
  await shows(page.locator('#feed-text'), 'trying again');
  const second = await Server.start('--port', String(server.port));
  t.after(() => second.stop());
  await shows(page.locator('#feed-text'), 'live');
  await shows(page.locator('#ends-log li').first(), 'the server was started anew');
  await Client.connect(second.port, {path: '/again'});
  await row(page, '/again').waitFor();
});

test('over TLS, with compression', limit, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'wsbeat-dashboard-'));
  t.after(() => rm(folder, {recursive: true}));
  const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', certificate,
    '-days', '2', '-subj', '/CN=127.0.0.1'], {stdio: 'ignore'});
  const server = await serve(t, '--tls-cert', certificate, '--tls-key', key, '--deflate', '--mode', 'sink');
  server.url = server.url.replace('http:', 'https:');
  const page = await visit(t, server, {ignoreHTTPSErrors: true});
  await shows(page.locator('#feed-text'), 'live');
  await page.click('#connect-button');
  await shows(page.locator('#console-log li'), 'permessage-deflate');
  await shows(row(page, '/').locator('.small'), 'TLS · deflate');
});

test('out of sight it does not watch', limit, async t => {
  const server = await serve(t);
  const page = await visit(t, server);
  await shows(page.locator('#feed-text'), 'live');
  const see = state => page.evaluate(value => {
    Object.defineProperty(document, 'visibilityState', {value, configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));
  }, state);
  const other = await visit(t, server);
  await shows(other.locator('#shown'), '2 dashboards watch');
  await see('hidden');
  await shows(page.locator('#feed-text'), 'paused while out of sight');
  await other.waitForFunction(() => document.getElementById('shown').textContent === '0 open');
  await see('visible');
  await shows(other.locator('#shown'), '2 dashboards watch');
});

test('where the dashboard is off, the page says why and its console works', limit, async t => {
  const server = await serve(t, '--trusted-proxy', '10.0.0.0/8');
  const page = await visit(t, server, {expected: /status of 403/});
  await shows(page.locator('#refused'), '--dashboard-token');
  await page.click('#connect-button');
  await shows(page.locator('#state'), 'open');
  await page.fill('#text', 'hello');
  await page.click('#send-button');
  await shows(page.locator('#console-log .received'), '< hello');
  await page.click('#close-button');
  await shows(page.locator('#console-log li'), 'closed: code 1000');
  await page.fill('#url', 'ws://example.com/');
  await page.click('#connect-button');
  await shows(page.locator('#console-log .bad'), `this page may connect to 127.0.0.1:${server.port} only`);
});
