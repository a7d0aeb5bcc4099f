// Topics over a connection that speaks wsbeat.topics.v1: a WsBeat, or anything with a WebSocket's events, readyState and send().
// When the connection opens again, all that was asked for is asked again, and durable topics go on where they were (docs/topics.md).

import { ASKED, IDLE, Membership, Publication, Request, Subscription, TopicError, TopicMissedEvent, Watch, Wish, disconnected, tell } from './topic_requests.js';

export { TopicError, TopicMissedEvent };

/** What the connection must offer: new WsBeat(url, { protocols: SUBPROTOCOL }). */
export const SUBPROTOCOL = 'wsbeat.topics.v1';

const OPEN = 1;
const RETRY_MS = 50; // when a WsBeat's queue is full while a connection is taken up again
const DEFAULTS = { maxWaiting: 1000, settle: 3000 };

/** What had been granted was refused on a new connection, and is gone. `request`: subscribe, join or watch. */
export class TopicRefusedEvent extends Event {
  constructor({ request, topic, error }) {
    super('refused');
    Object.assign(this, { request, topic, error });
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

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Topics extends EventTarget {
  #socket;
  #options;
  #wishes = new Map(); // key -> Wish
  #publications = new Set(); // that are to be acknowledged in any case
  #requests = new Map(); // id -> Request, on this connection
  #leaving = new Map(); // key of a wish that was withdrawn -> promise of its answer
  #nextId = 1;
  #connection = 0; // counts them, so that what began on one does not go on on the next
  #renewal = null; // promise, while what there was is being asked again
  #over = false; // the connection will not come back

  constructor(socket, options = {}) {
    super();
    this.#socket = socket;
    this.#options = { ...DEFAULTS, ...options };
    socket.addEventListener('open', () => this.#onOpen());
    socket.addEventListener('message', (event) => this.#onMessage(event.data));
    socket.addEventListener('close', (event) => this.#onClose(event));
  }

  /**
   * Calls listener(data, topic, sequence) for each event that the pattern matches; `sequence` is undefined if its topic is not durable. Resolves
   * when the server has subscribed; before the connection is open, that is when it has opened. Rejects with a TopicError if the server refuses; the
   * listener is then gone. `after`: go on after this position, of an earlier page for instance; it counts for the pattern's first listener.
   */
  async subscribe(pattern, listener, { onMissed, after } = {}) {
    const wish = this.#wish(`subscribe ${pattern}`, () => new Subscription(pattern, after, (event) => this.dispatchEvent(event)));
    wish.listeners.set(listener, onMissed);
    await wish.settled;
  }

  /** Takes one listener away, or without one all of the pattern. Resolves when the server has unsubscribed, if nobody listens any more. */
  unsubscribe(pattern, listener) {
    return this.#removeListener('subscribe', 'unsubscribe', pattern, listener);
  }

  /** The last durable message that listeners of this pattern have been told of, or undefined. */
  position(pattern) {
    return this.#wishes.get(`subscribe ${pattern}`)?.position;
  }

  /**
   * Publishes any JSON value. Resolves with what the server answers: { reached, refused, crossed }, or of a durable topic { stored, sequence,
   * duplicate }. Rejects with a TopicError: "disconnected" if the connection is not open, or ended before the answer came (it may have been published
   * then). With `once` (durable topics only) it is published again on the next connection until it is acknowledged, and stored once all the same;
   * then "disconnected" means that it took too long. `key`: one's own in place of a random one.
   */
  async publish(topic, data, { retain = false, echo = true, once = false, key } = {}) {
    const message = { type: 'publish', topic, data: data ?? null };
    if (retain) message.retain = true;
    if (!echo) message.echo = false;
    if (once || key !== undefined) message.key = key ?? newKey();
    const { stored, sequence, duplicate = false, reached, refused, crossed = true } = await (once ? this.#keep(message) : this.#request(message));
    return stored ? { stored, sequence, duplicate } : { reached, refused, crossed };
  }

  /** This connection is there as `member` from now on, and on every later one. Joining again changes the name. */
  async join(topic, member) {
    const before = this.#wishes.get(`join ${topic}`);
    if (before !== undefined && before.member !== member) this.#forget(before);
    await this.#wish(`join ${topic}`, () => new Membership(topic, member)).settled;
  }

  /** Resolves when the server knows. */
  async leave(topic) {
    const wish = this.#wishes.get(`join ${topic}`);
    if (wish !== undefined) await this.#withdraw(wish, 'leave');
  }

  /** Calls listener(member, present, topic) for each who is there, and whenever somebody comes or leaves. Resolves with those who are there. */
  async watch(topic, listener) {
    const wish = this.#wish(`watch ${topic}`, () => new Watch(topic, this.#options.settle));
    if (!wish.listeners.has(listener)) {
      for (const member of wish.members) tell(listener, member, true, topic);
      wish.listeners.add(listener);
    }
    await wish.settled;
    return [...wish.members];
  }

  /** As unsubscribe. */
  unwatch(topic, listener) {
    return this.#removeListener('watch', 'unwatch', topic, listener);
  }

  /** Those who are there, as far as is known, on a topic that is watched. */
  members(topic) {
    return [...(this.#wishes.get(`watch ${topic}`)?.members ?? [])];
  }

  // ------------------------------------------------------------------------------------------------------------------ asking

  get #isOpen() { return this.#socket.readyState === OPEN; }

  #wish(key, make) {
    let wish = this.#wishes.get(key);
    if (wish === undefined) {
      wish = make();
      this.#wishes.set(key, wish);
      this.#submit(wish);
    }
    return wish;
  }

  async #removeListener(type, withdrawal, topic, listener) {
    const wish = this.#wishes.get(`${type} ${topic}`);
    if (wish === undefined) return;
    if (listener !== undefined) wish.listeners.delete(listener);
    if (listener === undefined || wish.listeners.size === 0) await this.#withdraw(wish, withdrawal);
  }

  #forget(wish) {
    this.#wishes.delete(wish.key);
    wish.resolve(); // nobody waits for what is not wanted any more
  }

  async #withdraw(wish, type) {
    this.#forget(wish);
    const asked = wish.status !== IDLE;
    wish.lost();
    if (!this.#isOpen || !asked) return; // a new connection will not ask for it
    const answer = this.#request({ type, topic: wish.topic }).catch((error) => {
      if (error.code !== 'disconnected' && error.code !== 'not_subscribed') throw error;
    });
    const left = answer.catch(() => {}).then(() => {
      if (this.#leaving.get(wish.key) === left) this.#leaving.delete(wish.key);
    });
    this.#leaving.set(wish.key, left);
    await answer;
  }

  #request(message) {
    const request = new Request(message);
    if (this.#isOpen) this.#submit(request);
    else request.failed(disconnected('the connection is not open'));
    return request.settled;
  }

  #keep(message) {
    const publication = new Publication(message);
    if (this.#publications.size >= this.#options.maxWaiting) {
      publication.failed(new TopicError('full', `${this.#publications.size} publications wait already`));
    } else {
      this.#publications.add(publication);
      this.#submit(publication);
    }
    return publication.settled;
  }

  #isWanted(request) {
    if (request instanceof Wish) return this.#wishes.get(request.key) === request;
    return !(request instanceof Publication) || this.#publications.has(request);
  }

  // Sends it now, or behind what must come before it; what is kept and finds no connection waits for the next one.
  async #submit(request) {
    if (this.#over) return this.#end(request, disconnected('the connection is closed'));
    const connection = this.#connection;
    while (this.#renewal !== null || this.#leaving.has(request.key)) await (this.#renewal ?? this.#leaving.get(request.key));
    if (!this.#isOpen || connection !== this.#connection) {
      if (!(request instanceof Wish) && !(request instanceof Publication)) request.lost();
      return undefined;
    }
    if (request.status !== IDLE || !this.#isWanted(request)) return undefined;
    const error = await this.#transmit(request);
    return error && this.#end(request, error);
  }

  // Gives the error if it could not be sent.
  async #transmit(request) {
    const id = this.#nextId++;
    request.status = ASKED;
    this.#requests.set(id, request);
    try {
      // A WsBeat's send() gives a promise, which rejects if the message is given up; a WebSocket's gives nothing.
      await this.#socket.send(request.text(id), { keep: false });
      return undefined;
    } catch (error) {
      if (!this.#requests.delete(id)) return undefined; // the connection has ended meanwhile
      request.status = IDLE;
      return new TopicError('failed', error.message);
    }
  }

  #end(request, error) {
    this.#publications.delete(request);
    if (request instanceof Wish && this.#isWanted(request)) {
      this.#wishes.delete(request.key);
      if (request.granted) this.dispatchEvent(new TopicRefusedEvent({ request: request.type, topic: request.topic, error }));
    }
    request.failed(error);
  }

  // --------------------------------------------------------------------------------------------------------------- connection

  #onOpen() {
    this.#over = false;
    const renewal = this.#renew(this.#connection).finally(() => {
      if (this.#renewal === renewal) this.#renewal = null;
    });
    this.#renewal = renewal;
  }

  // All that waits or was there before, in its order, and each only when the socket has taken the one before.
  async #renew(connection) {
    const usable = () => connection === this.#connection && this.#isOpen;
    for (const request of [...this.#wishes.values(), ...this.#publications]) {
      if (request.expired) this.#end(request, disconnected('not acknowledged for too long; it may have been stored'));
      while (usable() && request.status === IDLE && this.#isWanted(request) && await this.#transmit(request)) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #onClose({ willReconnect } = {}) {
    this.#connection += 1;
    this.#renewal = null;
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const request of new Set([...requests, ...this.#wishes.values()])) request.lost();
    const { WebSocket } = globalThis;
    this.#over = willReconnect === false || (WebSocket !== undefined && this.#socket instanceof WebSocket);
    if (!this.#over) return;
    for (const request of [...this.#wishes.values(), ...this.#publications]) {
      if (!request.granted) this.#end(request, disconnected('the connection is closed'));
    }
  }

  #onMessage(data) {
    const message = typeof data === 'string' ? parsed(data) : null;
    if (message === null || typeof message !== 'object') return;
    switch (message.type) {
      case 'event': this.#onEvent(message); break;
      case 'presence': this.#wishes.get(`watch ${message.topic}`)?.presence(message); break;
      default: this.#onAnswer(message);
    }
  }

  #onEvent(event) {
    if (event.replay !== undefined) {
      this.#wishes.get(`subscribe ${event.replay}`)?.event(event);
      return;
    }
    for (const wish of [...this.#wishes.values()]) {
      if (wish instanceof Subscription && matches(wish.topic, event.topic)) wish.event(event);
    }
  }

  #onAnswer(message) {
    const request = this.#requests.get(message.id);
    if (request === undefined) return;
    this.#requests.delete(message.id);
    if (message.type === 'acknowledged') {
      this.#publications.delete(request);
      if (this.#isWanted(request)) request.acknowledged(message);
      else request.resolve(message);
    } else {
      this.#end(request, new TopicError(message.code, message.text));
    }
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not of this protocol
  }
}

export default Topics;
