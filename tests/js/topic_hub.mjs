// A small server of wsbeat.topics.v1 in memory, for tests of topics.js: durable topics ("d.>"), keys, presence, replays in steps that a test
// may hold, and sockets without a network that can be cut at any message. What it gets is in `requests`.
import { WsBeat } from '../../clients/js/wsbeat.js';
import { Topics, matches } from '../../clients/js/topics.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

class Connection {
  subscriptions = new Map(); // pattern -> { paused }
  joined = new Map(); // topic -> member
  watched = new Set();

  constructor(hub, socket) {
    this.hub = hub;
    this.socket = socket;
  }

  send(message) { this.socket.deliver(JSON.stringify(message)); }
  answer({ id }, fields = {}) { if (id !== undefined) this.send({ type: 'acknowledged', id, ...fields }); }
  refuse({ id }, code) { this.send({ type: 'error', id, code, text: code }); }

  take(text) {
    const request = JSON.parse(text);
    this.hub.requests.push(request);
    const special = this.hub.answers.get(request.type);
    if (special === undefined || special(this, request) === false) this[request.type](request);
  }

  ended() {
    this.hub.connections.delete(this);
    for (const topic of [...this.joined.keys()]) this.#gone(topic);
  }

  subscribe(request) {
    const { topic: pattern, after } = request;
    const subscription = { paused: true };
    this.subscriptions.set(pattern, subscription);
    if (!matches(pattern, 'd.x') && !pattern.startsWith('d.')) {
      subscription.paused = false;
      this.answer(request);
    } else {
      this.replay(pattern, subscription, after, request);
    }
  }

  // One message a turn, or only where the test lets it go on; the present is reached when none is left.
  async replay(pattern, subscription, after, request) {
    const { hub } = this;
    const wanted = () => this.subscriptions.get(pattern) === subscription;
    const missed = after !== undefined && (after > hub.last || after + 1 < hub.first);
    let at = after === undefined || missed ? hub.last : after;
    while (!missed && at < hub.last) {
      await (hub.gate ?? turn());
      if (!wanted()) return;
      const event = hub.log[at - hub.first + 1];
      at = event.sequence;
      if (matches(pattern, event.topic)) this.send({ type: 'event', ...event, replay: pattern });
    }
    subscription.paused = false;
    if (request) this.answer(request, { sequence: at, ...(missed && { missed }) });
  }

  unsubscribe(request) {
    if (this.subscriptions.delete(request.topic)) this.answer(request);
    else this.refuse(request, 'not_subscribed');
  }

  publish(request) {
    const { topic, data, key } = request;
    if (!topic.startsWith('d.')) {
      if (key !== undefined) return this.refuse(request, 'not_durable');
      this.hub.tell({ topic, data });
      return this.answer(request, { reached: 1, refused: 0 });
    }
    const before = this.hub.keys.get(key);
    const sequence = before ?? this.hub.publish(topic, data);
    if (key !== undefined) this.hub.keys.set(key, sequence);
    return this.answer(request, { stored: true, sequence, ...(before !== undefined && { duplicate: true }) });
  }

  join(request) {
    const { topic, member } = request;
    if (this.joined.get(topic) !== member) {
      this.#gone(topic);
      this.joined.set(topic, member);
      if (this.hub.members(topic).filter((one) => one === member).length === 1) this.hub.presence(topic, member, true);
    }
    this.answer(request);
  }

  leave(request) {
    if (!this.joined.has(request.topic)) return this.refuse(request, 'not_subscribed');
    this.#gone(request.topic);
    return this.answer(request);
  }

  watch(request) {
    this.watched.add(request.topic);
    this.answer(request, { members: [...new Set(this.hub.members(request.topic))] });
  }

  unwatch(request) {
    if (this.watched.delete(request.topic)) this.answer(request);
    else this.refuse(request, 'not_subscribed');
  }

  #gone(topic) {
    const member = this.joined.get(topic);
    if (!this.joined.delete(topic)) return;
    if (!this.hub.members(topic).includes(member)) this.hub.presence(topic, member, false);
  }
}

export class Hub {
  log = [];
  first = 1; // sequence of what log[0] has
  keys = new Map();
  connections = new Set();
  requests = [];
  answers = new Map(); // type -> (connection, request): answers in place of the hub unless it returns false
  gate = null; // a promise that each step of a replay awaits
  messages = 0; // that have come to either side
  cut = null; // { at, delivered }: the connection is cut at this message, which still comes or does not
  others = new Map(); // topic -> members of other servers

  get last() { return this.first + this.log.length - 1; }

  publish(topic, data) {
    const event = { topic, data, sequence: this.last + 1 };
    this.log.push(event);
    this.tell(event);
    return event.sequence;
  }

  tell(event) {
    for (const connection of this.connections) {
      const active = [...connection.subscriptions].some(([pattern, { paused }]) => matches(pattern, event.topic) && (event.sequence === undefined || !paused));
      if (active) connection.send({ type: 'event', ...event });
    }
  }

  members(topic) {
    return [...[...this.connections].map(({ joined }) => joined.get(topic)).filter((member) => member !== undefined), ...(this.others.get(topic) ?? [])];
  }

  presence(topic, member, present) {
    for (const connection of this.connections) if (connection.watched.has(topic)) connection.send({ type: 'presence', topic, member, present });
  }

  // Older ones are not kept any more.
  forget(before) {
    this.log.splice(0, before - this.first);
    this.first = before;
  }

  get connection() { return [...this.connections].at(-1); }
  drop() { for (const { socket } of this.connections) socket.end(); }
  ofType(type) { return this.requests.filter((request) => request.type === type); }

  /** A WebSocket class whose sockets end here. */
  get WebSocket() {
    const hub = this;
    return class extends EventTarget {
      readyState = 0;
      bufferedAmount = 0;
      protocol = 'wsbeat.topics.v1';
      extensions = '';

      constructor() {
        super();
        setImmediate(() => {
          if (this.readyState !== 0) return;
          this.readyState = 1;
          this.server = new Connection(hub, this);
          hub.connections.add(this.server);
          this.#tell(new Event('open'));
        });
      }

      send(text) { this.#pass(() => this.server.take(text)); }
      deliver(text) { this.#pass(() => this.#tell(new MessageEvent('message', { data: text }))); }
      close() { this.end(1000, true); }

      end(code = 1006, wasClean = false) {
        if (this.readyState === 3) return;
        this.readyState = 3;
        this.server?.ended();
        this.#tell(Object.assign(new Event('close'), { code, reason: '', wasClean }));
      }

      #pass(arrive) {
        setImmediate(() => {
          if (this.readyState !== 1) return;
          hub.messages += 1;
          const cut = hub.cut !== null && hub.messages === hub.cut.at;
          if (!cut || hub.cut.delivered) arrive();
          if (cut) this.end();
        });
      }

      #tell(event) {
        this[`on${event.type}`]?.(event);
        this.dispatchEvent(event);
      }
    };
  }

  client(t, options = {}) {
    const socket = new WsBeat('ws://hub.example/', { WebSocket: this.WebSocket, reconnect: { minDelay: 0, random: () => 0 }, page: undefined, ...options });
    t.after(() => socket.close());
    return socket;
  }
}

/** Waits for what must come, a turn of the event loop at a time. */
export async function until(holds, what = 'it', turns = 20000) {
  for (let i = 0; i < turns; ++i) {
    if (holds()) return;
    await turn();
  }
  throw new Error(`${what} does not come`);
}

/** Until nothing is under way. */
export async function quiet() {
  for (let i = 0; i < 20; ++i) await turn();
}

export function start(t, options, topicsOptions) {
  const hub = new Hub();
  const socket = hub.client(t, options);
  return { hub, socket, topics: new Topics(socket, topicsOptions) };
}

// A listener that keeps what it was told.
export function collector() {
  const listener = (data, topic, sequence) => listener.got.push([topic, data, sequence]);
  listener.got = [];
  return listener;
}
export const numbers = (listener) => listener.got.map(([, , sequence]) => sequence);
export const range = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

export function watcher() {
  const listener = (member, present) => listener.log.push(`${present ? '+' : '-'}${member}`);
  listener.log = [];
  return listener;
}
