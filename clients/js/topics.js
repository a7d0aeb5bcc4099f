// Topics over a connection that speaks wsbeat.topics.v1: a WsBeat, or anything with a WebSocket's events, readyState and send().
// When the connection opens again it subscribes again; what was published meanwhile is missed (docs/scaling.md).

/** What the connection must offer: new WsBeat(url, { protocols: SUBPROTOCOL }). */
export const SUBPROTOCOL = 'wsbeat.topics.v1';

const OPEN = 1;

/** With which promises reject. `code`: one of the protocol's, or "disconnected" if the answer never came,
 * "failed" if the request could not be sent. */
export class TopicError extends Error {
  constructor(code, text) {
    super(text ?? code);
    this.name = 'TopicError';
    this.code = code;
  }
}

/** By NATS's rules: "*" is one token, a last ">" one or more. */
export function matches(pattern, topic) {
  const wanted = pattern.split('.');
  const given = topic.split('.');
  for (let i = 0; i < wanted.length; ++i) {
    if (wanted[i] === '>') return given.length > i;
    if (i >= given.length || (wanted[i] !== '*' && wanted[i] !== given[i])) return false;
  }
  return wanted.length === given.length;
}

export class Topics {
  #socket;
  #subscriptions = new Map(); // pattern -> { listeners, state: promise of the server's answer, active, again: after a reconnect }
  #requests = new Map(); // id -> { resolve, reject }
  #nextId = 1;
  #opened = []; // what waits for the connection to open

  constructor(socket) {
    this.#socket = socket;
    socket.addEventListener('open', () => this.#onOpen());
    socket.addEventListener('message', (event) => this.#onMessage(event.data));
    socket.addEventListener('close', () => this.#onClose());
  }

  /**
   * Calls listener(data, topic) for each event that the pattern matches. Resolves when the server has subscribed; before the connection is
   * open, that is when it has opened. Rejects with a TopicError if the server refuses; the listener is then gone.
   */
  async subscribe(pattern, listener) {
    let subscription = this.#subscriptions.get(pattern);
    if (subscription === undefined) {
      subscription = { listeners: new Set(), state: null, active: false, again: false };
      this.#subscriptions.set(pattern, subscription);
      subscription.state = this.#ask(pattern, subscription);
    }
    subscription.listeners.add(listener);
    await subscription.state;
  }

  /** Takes one listener away, or without one all of the pattern. Resolves when the server has unsubscribed, if nobody listens any more. */
  async unsubscribe(pattern, listener) {
    const subscription = this.#subscriptions.get(pattern);
    if (subscription === undefined) return;
    if (listener !== undefined) subscription.listeners.delete(listener);
    if (listener !== undefined && subscription.listeners.size > 0) return;
    this.#subscriptions.delete(pattern);
    if (this.#socket.readyState !== OPEN) return; // a new connection will not subscribe it
    await this.#request({ type: 'unsubscribe', topic: pattern }).catch((error) => {
      if (error.code !== 'disconnected' && error.code !== 'not_subscribed') throw error;
    });
  }

  /**
   * Publishes any JSON value. Resolves with { reached, refused } of the server, and crossed: false if other servers do not get it. Rejects with a
   * TopicError: "disconnected" if the connection is not open, or ended before the answer came (it may have been published then).
   */
  publish(topic, data, { retain = false, echo = true } = {}) {
    if (this.#socket.readyState !== OPEN) return Promise.reject(new TopicError('disconnected', 'the connection is not open'));
    const message = { type: 'publish', topic, data: data ?? null };
    if (retain) message.retain = true;
    if (!echo) message.echo = false;
    return this.#request(message).then(({ reached, refused, crossed = true }) => ({ reached, refused, crossed }));
  }

  // Until the server has answered, over as many connections as that takes.
  async #ask(pattern, subscription) {
    while (this.#subscriptions.get(pattern) === subscription) {
      if (this.#socket.readyState !== OPEN) await new Promise((resolve) => this.#opened.push(resolve));
      if (this.#subscriptions.get(pattern) !== subscription) return;
      try {
        await this.#request({ type: 'subscribe', topic: pattern });
        subscription.active = true;
        return;
      } catch (error) {
        if (error.code === 'disconnected') continue;
        this.#subscriptions.delete(pattern);
        throw error;
      }
    }
  }

  #request(message) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { resolve, reject });
      // A WsBeat's send() gives a promise, which rejects if the message is given up; a WebSocket's gives nothing.
      new Promise((sent) => sent(this.#socket.send(JSON.stringify({ ...message, id })))).catch((error) => {
        if (this.#requests.delete(id)) reject(new TopicError('failed', error.message));
      });
    });
  }

  #onOpen() {
    const opened = this.#opened;
    this.#opened = [];
    for (const resolve of opened) resolve();
    for (const [pattern, subscription] of this.#subscriptions) {
      if (!subscription.again) continue;
      subscription.again = false;
      subscription.state = this.#ask(pattern, subscription);
      subscription.state.catch(() => {}); // who subscribed has had an answer before; now it is refused, and gone
    }
  }

  #onMessage(data) {
    if (typeof data !== 'string') return;
    const message = JSON.parse(data);
    if (message.type === 'event') {
      this.#onEvent(message);
      return;
    }
    const request = this.#requests.get(message.id);
    if (request === undefined) return;
    this.#requests.delete(message.id);
    if (message.type === 'acknowledged') {
      request.resolve(message);
    } else {
      request.reject(new TopicError(message.code, message.text));
    }
  }

  #onEvent({ topic, data }) {
    for (const [pattern, { listeners }] of [...this.#subscriptions]) {
      if (!matches(pattern, topic)) continue;
      for (const listener of [...listeners]) listener(data, topic);
    }
  }

  #onClose() {
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const subscription of this.#subscriptions.values()) {
      subscription.again ||= subscription.active;
      subscription.active = false;
    }
    for (const { reject } of requests) reject(new TopicError('disconnected', 'the connection ended before the answer came'));
  }
}

export default Topics;
