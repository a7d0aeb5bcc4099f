// Starts a real wsbeat-server (WSBEAT_SERVER) on a free port for tests in JavaScript, and keeps its events: server.py's smaller sister.
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';

const PATIENCE_MS = 20000;

export class Server extends EventEmitter {
  events = [];
  times = [];
  port = 0;

  static async start(...flags) {
    const server = new Server();
    server.process = spawn(process.env.WSBEAT_SERVER, ['--port', '0', '--events', '--commands', ...flags.map(String)],
      { stdio: ['ignore', 'pipe', 'inherit'] });
    server.exited = once(server.process, 'exit');
    createInterface({ input: server.process.stdout }).on('line', (line) => {
      server.events.push(JSON.parse(line));
      server.times.push(performance.now());
      server.emit('event');
    });
    server.port = (await server.event('listening')).port;
    return server;
  }

  get url() { return `ws://127.0.0.1:${this.port}/`; }

  // The first event of this name, from index `start` on, whose fields are so.
  async event(name, fields = {}, start = 0) {
    const fits = (event) => event.event === name && Object.entries(fields).every(([field, value]) => event[field] === value);
    return within(PATIENCE_MS, `event ${name} ${JSON.stringify(fields)}, the last: ${JSON.stringify(this.events.slice(-5))}`, async () => {
      for (;;) {
        const found = this.events.slice(start).find(fits);
        if (found) return found;
        await once(this, 'event');
      }
    });
  }

  count(name) { return this.events.filter((event) => event.event === name).length; }

  // Until there are so many events of this name.
  async until(name, count) {
    return within(PATIENCE_MS, `${count} events ${name}, there are ${this.count(name)}`, async () => {
      while (this.count(name) < count) await once(this, 'event');
      return this.events.filter((event) => event.event === name);
    });
  }

  mark() { return this.events.length; }

  async stop(signal = 'SIGTERM') {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    await this.exited;
  }
}

// What `work` gives, or an error that names what was awaited.
export async function within(ms, what, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
