// NATS with JetStream, servers that can be ended and started again on their ports, and nginx with the example for several instances before them;
// for tests in JavaScript. What it makes is below a folder of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Server, within } from './server.mjs';

const EXAMPLES = new URL('../../examples/gateway/nginx/', import.meta.url);
const PATIENCE_MS = 20000;
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }; // where Debian has nginx and nats-server

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  for (const server of servers) server.close();
  return ports;
}

const listens = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false)).on('close', () => socket.destroy());
  socket.on('connect', () => socket.end());
});

function nginxConfiguration(folder, port, ports) {
  let site = readFileSync(new URL('instances.conf', EXAMPLES), 'utf8').replace('listen 80;', `listen 127.0.0.1:${port};`);
  [9001, 9002].forEach((example, at) => { site = site.replaceAll(`127.0.0.1:${example} `, `127.0.0.1:${ports[at]} `); });
  site = site.replace(/^ *server 127\.0\.0\.1:9003 .*\n/gm, '');
  mkdirSync(join(folder, 'snippets'));
  writeFileSync(join(folder, 'snippets/wsbeat.conf'), readFileSync(new URL('snippets/wsbeat.conf', EXAMPLES)));
  writeFileSync(join(folder, 'site.conf'), site);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/tmp;`).join(' ');
  writeFileSync(join(folder, 'nginx.conf'), `user root; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log;
    events {} http { access_log off; ${paths} include site.conf; }`);
}

export class Cluster {
  servers = [];
  #processes = [];
  #ended = [];

  static async start(...flags) {
    const cluster = new Cluster();
    cluster.flags = flags;
    cluster.folder = mkdtempSync(join(tmpdir(), 'wsbeat-'));
    const [gateway, nats, ...ports] = await freePorts(4);
    Object.assign(cluster, { port: gateway, natsPort: nats, ports });
    cluster.#spawn('nats-server', '-a', '127.0.0.1', '-p', nats, '-js', '-sd', join(cluster.folder, 'jetstream'));
    await cluster.#until(() => listens(nats), 'nats-server');
    for (const number of ports.keys()) await cluster.startServer(number);
    nginxConfiguration(cluster.folder, gateway, ports);
    cluster.#spawn('nginx', '-p', cluster.folder, '-c', 'nginx.conf', '-e', join(cluster.folder, 'nginx.log'));
    await cluster.#until(() => listens(gateway), 'nginx');
    return cluster;
  }

  get url() { return `ws://127.0.0.1:${this.port}/`; }

  async startServer(number) {
    if (this.servers[number]) this.#ended.push(this.servers[number]);
    this.servers[number] = await Server.start('--port', this.ports[number], '--topics', '--nats', `nats://127.0.0.1:${this.natsPort}`,
      '--trusted-proxy', '127.0.0.1', ...this.flags);
  }

  // The server on which an open connection asked for this path, once there is one.
  async serverOf(path) {
    const has = ({ events }) => {
      const conns = new Set(events.filter((event) => event.event === 'open' && event.path === path).map(({ conn }) => conn));
      for (const event of events) if (event.event === 'close') conns.delete(event.conn);
      return conns.size > 0;
    };
    await this.#until(() => this.servers.some(has), `a connection to ${path}`);
    return this.servers.findIndex(has);
  }

  async stop() {
    await Promise.all([...this.#ended, ...this.servers].map((server) => server.stop('SIGKILL')));
    for (const { child, exited } of this.#processes) {
      child.kill();
      await exited;
    }
    rmSync(this.folder, { recursive: true });
  }

  #spawn(program, ...args) {
    const child = spawn(program, args.map(String), { stdio: 'ignore', env });
    this.#processes.push({ child, exited: once(child, 'exit') });
  }

  #until(holds, what) {
    return within(PATIENCE_MS, what, async () => {
      while (!await holds()) await wait(10);
    });
  }
}

/** Why there can be none here, or undefined. */
export function missing() {
  return ['nginx', 'nats-server'].find((program) => !env.PATH.split(':').some((folder) => existsSync(join(folder, program))));
}
