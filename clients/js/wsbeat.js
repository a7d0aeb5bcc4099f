// A WebSocket that comes back, paces what it sends, says goodbye and notices silence. For browsers and Node 20 or later; no dependencies.
// The README says what each option does; wsbeat.d.ts has the types.

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
const READY_STATES = { connecting: CONNECTING, waiting: CONNECTING, suspended: CONNECTING, open: OPEN, closing: CLOSING, closed: CLOSED };

const BEAT = /^\x16([0-9]{2,8})$/; // docs/heartbeat.md of the server: its interval in milliseconds
const BEAT_SUBPROTOCOL = 'wsbeat.beat.v1';
const BEAT_PARAMETER = 'wsbeat-beat';
const TOKEN_PREFIX = 'wsbeat.token.';
const TICKS = 5; // a silence is measured in so many ticks, so that one late timer cannot pass for a long silence
const MISSED_BEATS_CODE = 4408;
const ABNORMAL = 1006;
const MAX_REASON_BYTES = 123; // RFC 6455, 5.5
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/; // RFC 9110, 5.6.2
const PUMP_MS = [2, 50]; // first and longest wait between looks at bufferedAmount, for which there is no event

const RECONNECT = { minDelay: 1000, maxDelay: 30000, factor: 2, stableAfter: 5000, maxAttempts: Infinity, never: [1008, [4000, 4099]], random: Math.random };
const QUEUE = { policy: 'refuse', maxMessages: 1000, maxBytes: 1 << 20 };
const POLICIES = ['drop', 'latest', 'refuse'];
const GOODBYE = { code: 1000, reason: 'page hidden' };

export class WsBeatCloseEvent extends Event {
  constructor({ code, reason, wasClean, willReconnect, delay }) {
    super('close');
    Object.assign(this, { code, reason, wasClean, willReconnect, delay });
  }
}

export class WsBeatStateEvent extends Event {
  constructor(state, previous) {
    super('state');
    Object.assign(this, { state, previous });
  }
}

// Why a message was not sent: `reason` is full, dropped, superseded, closed or disconnected.
export class WsBeatSendError extends Error {
  constructor(reason) {
    super(`message not sent: ${reason}`);
    this.name = 'WsBeatSendError';
    this.reason = reason;
  }
}

const encoder = new TextEncoder();
const byteLength = (text) => encoder.encode(text).length;

function sizeOf(data) {
  if (typeof data === 'string') return byteLength(data);
  return data.byteLength ?? data.size;
}

// What may wait in the queue while its owner goes on using the memory.
function copyOf(data) {
  if (data instanceof ArrayBuffer) return data.slice(0);
  if (ArrayBuffer.isView(data)) return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  return data;
}

function sendable(data) {
  const asItIs = data instanceof ArrayBuffer || ArrayBuffer.isView(data) || (typeof Blob !== 'undefined' && data instanceof Blob);
  return asItIs ? data : String(data);
}

function checkClose(code, reason) {
  if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
    throw new DOMException(`code ${code} is neither 1000 nor within 3000..4999`, 'InvalidAccessError');
  }
  if (reason !== undefined && byteLength(reason) > MAX_REASON_BYTES) {
    throw new DOMException(`reason is longer than ${MAX_REASON_BYTES} bytes`, 'SyntaxError');
  }
}

function parseUrl(text) {
  let url;
  try {
    url = new URL(text, globalThis.location?.href);
  } catch {
    throw new DOMException(`'${text}' is no URL`, 'SyntaxError');
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') url.protocol = url.protocol.replace('http', 'ws');
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw new DOMException(`'${url.protocol}' is not ws: or wss:`, 'SyntaxError');
  if (url.hash !== '') throw new DOMException('a WebSocket URL has no fragment', 'SyntaxError');
  return url;
}

function checkProtocols(protocols) {
  const list = [protocols ?? []].flat();
  const bad = list.find((name, at) => !TOKEN.test(name) || list.indexOf(name) !== at);
  if (bad !== undefined) throw new DOMException(`subprotocol '${bad}' is not a token, or stands there twice`, 'SyntaxError');
  return list;
}

function base64url(text) {
  return btoa(String.fromCharCode(...encoder.encode(text))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

function applyCredentials(url, protocols, { query = {}, subprotocol, user, password }) {
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  if (user !== undefined) url.username = user;
  if (password !== undefined) url.password = password;
  if (subprotocol === undefined) return;
  if (protocols.length === 0) throw new TypeError('a token as subprotocol needs a real subprotocol beside it: a browser wants one of them chosen');
  protocols.push(TOKEN_PREFIX + base64url(subprotocol));
}

function isNever(never, event) {
  if (typeof never === 'function') return Boolean(never(event));
  return never.some((one) => (Array.isArray(one) ? event.code >= one[0] && event.code <= one[1] : event.code === one));
}

function readOptions(options) {
  const { protocols, credentials, beat = false, missedBeats = 2.5, reconnect = {}, queue = {}, highWater = 256 * 1024, goodbye = {},
    connectTimeout = 20000, binaryType, WebSocket = globalThis.WebSocket, socketOptions, page = globalThis } = options;
  if (typeof WebSocket !== 'function') throw new TypeError('there is no global WebSocket: pass one as options.WebSocket');
  if (![false, true, 'query', 'subprotocol'].includes(beat)) throw new TypeError(`beat: '${beat}' is not 'query', 'subprotocol' or a boolean`);
  const settings = { protocols, credentials, beat: beat === true ? 'query' : beat, missedBeats, highWater, connectTimeout, binaryType, WebSocket,
    socketOptions, page, reconnect: reconnect && { ...RECONNECT, ...reconnect }, queue: { ...QUEUE, ...queue },
    goodbye: goodbye && { ...GOODBYE, ...goodbye } };
  if (!POLICIES.includes(settings.queue.policy)) throw new TypeError(`queue.policy: '${settings.queue.policy}' is not one of ${POLICIES.join(', ')}`);
  if (!(missedBeats > 1)) throw new TypeError('missedBeats must be more than 1');
  if (!(highWater > 0)) throw new TypeError('highWater must be more than 0');
  if (settings.goodbye) checkClose(settings.goodbye.code, settings.goodbye.reason);
  return settings;
}

export class WsBeat extends EventTarget {
  static CONNECTING = CONNECTING;
  static OPEN = OPEN;
  static CLOSING = CLOSING;
  static CLOSED = CLOSED;

  #url;
  #settings;
  #state = 'connecting';
  #socket = null;
  #generation = 0; // of connection attempts: what an older one still tells is not heard
  #failures = 0;
  #binaryType;
  #lastUrl = '';
  #queue = new Map(); // in order; the key is the message's own, or one of ours
  #queuedBytes = 0;
  #quietTicks = 0;
  #beatInterval = 0;
  #timers = {};
  #handlers = {};

  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#settings = readOptions(options);
    this.#binaryType = this.#settings.binaryType;
    // What can be judged now is judged now, as WebSocket does.
    const protocols = typeof options.protocols === 'function' ? ['later'] : this.#offered(options.protocols);
    if (typeof url !== 'function') {
      const parsed = parseUrl(url);
      this.#lastUrl = parsed.href;
      if (options.credentials && typeof options.credentials !== 'function') applyCredentials(parsed, [...protocols], options.credentials);
    }
    this.#watchPage('addEventListener');
    this.#connect();
  }

  // ------------------------------------------------------------------------------------------------------ as WebSocket has it

  get readyState() { return READY_STATES[this.#state]; }
  get url() { return this.#lastUrl; }
  get protocol() { return this.#socket?.protocol ?? ''; }
  get extensions() { return this.#socket?.extensions ?? ''; }
  get bufferedAmount() { return this.#queuedBytes + (this.#socket?.bufferedAmount ?? 0); }
  get binaryType() { return this.#binaryType ?? this.#socket?.binaryType ?? 'blob'; }
  set binaryType(type) {
    this.#binaryType = type;
    if (this.#socket) this.#socket.binaryType = type;
  }

  // connecting, open, waiting (to connect again), suspended (in the back-forward cache), closing or closed.
  get state() { return this.#state; }
  // Milliseconds between the server's beats; 0: it has sent none.
  get beatInterval() { return this.#beatInterval; }

  // Resolves when the socket has taken the message; rejects with a WsBeatSendError. A promise that nobody looks at disturbs nobody.
  send(data, { key, keep = true } = {}) {
    const promise = this.#admit(sendable(data), key, keep);
    promise.catch(() => {});
    return promise;
  }

  close(code, reason) {
    checkClose(code, reason);
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#clear('retry', 'beat', 'stable', 'pump');
    if (!this.#socket) {
      this.#generation += 1;
      this.#ended({ code: ABNORMAL, reason: '', wasClean: false }, false);
      return;
    }
    if (this.#state === 'open') this.#handOver(Infinity);
    this.#enter('closing');
    this.#socket.close(code, reason);
  }

  // ---------------------------------------------------------------------------------------------------------- for subclasses

  // Before each attempt: may change the URL and add subprotocols. May be async.
  prepare(_url, _protocols) {}
  // The connection is open and nothing was sent on it yet: `transmit(data)` goes ahead of everything that waits.
  greet(_transmit) {}
  // True: the message is for the subclass, and no event tells it.
  intercept(_data) { return false; }

  // -------------------------------------------------------------------------------------------------------------- connecting

  #offered(protocols) {
    const list = [...checkProtocols(protocols)];
    if (this.#settings.beat === 'subprotocol' && !list.includes(BEAT_SUBPROTOCOL)) list.push(BEAT_SUBPROTOCOL);
    return list;
  }

  // What the application's functions give may be better the next time.
  async #gather() {
    const { protocols, credentials, beat } = this.#settings;
    const url = parseUrl(typeof this.#url === 'function' ? await this.#url() : await this.#url);
    this.#lastUrl = url.href;
    const offered = this.#offered(typeof protocols === 'function' ? await protocols() : protocols);
    if (beat === 'query') url.searchParams.set(BEAT_PARAMETER, '1');
    await this.prepare(url, offered);
    return { url, offered, credentials: typeof credentials === 'function' ? await credentials() : credentials };
  }

  #construct({ url, offered, credentials }) {
    const { WebSocket, socketOptions } = this.#settings;
    if (credentials) applyCredentials(url, offered, credentials);
    return socketOptions === undefined ? new WebSocket(url.href, offered) : new WebSocket(url.href, offered, socketOptions);
  }

  async #connect() {
    this.#clear('retry');
    const generation = ++this.#generation;
    this.#enter('connecting');
    let gathered;
    try {
      gathered = await this.#gather();
    } catch (error) {
      if (generation === this.#generation) this.#failed(error, true);
      return;
    }
    if (generation !== this.#generation) return;
    try {
      this.#socket = this.#construct(gathered);
    } catch (error) {
      this.#failed(error, false);
      return;
    }
    this.#attach(this.#socket);
  }

  #failed(error, mayRetry) {
    const event = new Event('error');
    event.error = error;
    this.dispatchEvent(event);
    this.#ended({ code: ABNORMAL, reason: String(error?.message ?? error), wasClean: false }, mayRetry);
  }

  #attach(socket) {
    if (this.#binaryType) socket.binaryType = this.#binaryType;
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (event) => this.#received(event);
    socket.onerror = () => this.dispatchEvent(new Event('error'));
    socket.onclose = ({ code, reason, wasClean }) => this.#ended({ code, reason, wasClean }, this.#state !== 'closing');
    const { connectTimeout } = this.#settings;
    if (connectTimeout > 0) this.#after('connect', connectTimeout, () => this.#abandon(undefined, 'connecting took too long'));
  }

  #opened(socket) {
    this.#clear('connect');
    if (this.#state !== 'connecting') return; // close() was called meanwhile
    if (this.#settings.reconnect) {
      this.#after('stable', this.#settings.reconnect.stableAfter, () => {
        this.#failures = 0;
      });
    }
    this.#enter('open');
    this.greet((data) => socket.send(data));
    this.dispatchEvent(new Event('open'));
    this.#pump();
  }

  // Nothing is heard of this socket any more, whatever it still does.
  #detach() {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // npm's ws throws errors that nobody hears
    return socket;
  }

  // The connection is given up without waiting for its close event, which may take minutes on a dead network.
  #abandon(code, reason) {
    this.#detach()?.close(code, code && reason);
    this.#ended({ code: ABNORMAL, reason, wasClean: false }, this.#state !== 'closing');
  }

  // ------------------------------------------------------------------------------------------------------------------ the end

  // The delay before the next attempt: exponential, full jitter, capped.
  #backoff() {
    const { minDelay, maxDelay, factor, random } = this.#settings.reconnect;
    const ceiling = Math.min(maxDelay, minDelay * factor ** this.#failures);
    this.#failures += 1;
    return Math.round(random() * ceiling);
  }

  #ended(info, mayReconnect) {
    this.#clear('connect', 'stable', 'beat', 'pump');
    this.#detach();
    this.#dropUnkept();
    this.#beatInterval = 0;
    const { reconnect } = this.#settings;
    const willReconnect = Boolean(mayReconnect && reconnect && this.#failures < reconnect.maxAttempts && !isNever(reconnect.never, info));
    const delay = willReconnect ? this.#backoff() : 0;
    if (willReconnect) {
      this.#after('retry', delay, () => this.#connect());
      this.#enter('waiting');
    } else {
      this.#finish();
    }
    this.dispatchEvent(new WsBeatCloseEvent({ ...info, willReconnect, delay }));
  }

  #finish() {
    this.#watchPage('removeEventListener');
    for (const entry of this.#queue.values()) entry.reject(new WsBeatSendError('closed'));
    this.#queue.clear();
    this.#queuedBytes = 0;
    this.#enter('closed');
  }

  #enter(state) {
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    this.dispatchEvent(new WsBeatStateEvent(state, previous));
  }

  // ---------------------------------------------------------------------------------------------------------------- receiving

  #received({ data, origin }) {
    this.#quietTicks = -1; // the tick that runs has begun before this message
    const beat = this.#settings.beat && typeof data === 'string' ? BEAT.exec(data) : null;
    if (beat) {
      this.#beatCame(Number(beat[1]));
    } else if (!this.intercept(data)) {
      this.dispatchEvent(new MessageEvent('message', { data, origin: typeof origin === 'string' ? origin : '' }));
    }
    if (this.#queue.size) this.#pump(); // in a hidden page timers are slow, messages are not
  }

  #beatCame(interval) {
    if (this.#state !== 'open') return;
    this.#beatInterval = interval;
    this.#quietTicks = 0;
    this.#awaitTick();
  }

  #awaitTick() {
    const { missedBeats } = this.#settings;
    this.#after('beat', (this.#beatInterval * missedBeats) / TICKS, () => {
      this.#quietTicks += 1;
      if (this.#quietTicks < TICKS) this.#awaitTick();
      else this.#abandon(MISSED_BEATS_CODE, `no beat for ${missedBeats} intervals of ${this.#beatInterval} ms`);
    });
  }

  // ------------------------------------------------------------------------------------------------------------------ sending

  async #admit(data, key, keep) {
    if (this.#state === 'closing' || this.#state === 'closed') throw new WsBeatSendError('closed');
    if (!keep && this.#state !== 'open') throw new WsBeatSendError('disconnected');
    if (this.#state === 'open' && this.#queue.size === 0 && this.#socket.bufferedAmount < this.#settings.highWater) {
      this.#socket.send(data);
      return;
    }
    const size = sizeOf(data);
    this.#makeRoom(size, key);
    await new Promise((resolve, reject) => {
      const own = this.#settings.queue.policy === 'latest' ? key : undefined;
      this.#queue.set(own ?? Symbol('message'), { data: copyOf(data), size, keep, resolve, reject });
      this.#queuedBytes += size;
      if (this.#state === 'open' && !this.#timers.pump) this.#waitForSocket(PUMP_MS[0]);
    });
  }

  #makeRoom(size, key) {
    const { policy, maxMessages, maxBytes } = this.#settings.queue;
    if (policy === 'latest' && key !== undefined) this.#takeOut(key)?.reject(new WsBeatSendError('superseded'));
    const isFull = () => this.#queue.size + 1 > maxMessages || this.#queuedBytes + size > maxBytes;
    while (isFull()) {
      if (policy === 'refuse' || size > maxBytes || this.#queue.size === 0) throw new WsBeatSendError('full');
      this.#takeOut(this.#queue.keys().next().value).reject(new WsBeatSendError('dropped'));
    }
  }

  #takeOut(key) {
    const entry = this.#queue.get(key);
    if (!entry) return undefined;
    this.#queue.delete(key);
    this.#queuedBytes -= entry.size;
    return entry;
  }

  // What was meant for the connection that has ended.
  #dropUnkept() {
    for (const [key, { keep }] of [...this.#queue]) {
      if (!keep) this.#takeOut(key).reject(new WsBeatSendError('disconnected'));
    }
  }

  // Gives the socket what waits, in order, while it holds less than `limit`.
  #handOver(limit) {
    while (this.#queue.size && this.#socket.bufferedAmount < limit) {
      const entry = this.#takeOut(this.#queue.keys().next().value);
      try {
        this.#socket.send(entry.data);
        entry.resolve();
      } catch (error) {
        entry.reject(error);
      }
    }
  }

  #pump(wait = PUMP_MS[0]) {
    this.#clear('pump');
    if (this.#state !== 'open') return;
    const before = this.#queue.size;
    this.#handOver(this.#settings.highWater);
    if (this.#queue.size) this.#waitForSocket(this.#queue.size < before ? PUMP_MS[0] : wait);
  }

  #waitForSocket(wait) {
    this.#after('pump', wait, () => this.#pump(Math.min(wait * 2, PUMP_MS[1])));
  }

  // ----------------------------------------------------------------------------------------------------------------- the page

  #watchPage(method) {
    const { page } = this.#settings;
    if (typeof page?.[method] !== 'function') return; // Node
    page[method]('online', this.#onOnline);
    if (!this.#settings.goodbye) return;
    page[method]('pagehide', this.#onPageHide);
    page[method]('pageshow', this.#onPageShow);
  }

  #onOnline = () => {
    if (this.#state === 'waiting') this.#connect();
  };

  #onPageHide = ({ persisted }) => {
    if (this.#state === 'closing' || this.#state === 'closed' || this.#state === 'suspended') return;
    const { code, reason } = this.#settings.goodbye;
    const hadSocket = this.#socket !== null;
    this.#clear('connect', 'stable', 'beat', 'pump', 'retry');
    this.#generation += 1;
    this.#beatInterval = 0;
    this.#detach()?.close(code, reason);
    this.#dropUnkept();
    this.#enter('suspended');
    // The answer is not awaited: the page may be gone before.
    if (hadSocket) this.dispatchEvent(new WsBeatCloseEvent({ code, reason, wasClean: false, willReconnect: Boolean(persisted), delay: 0 }));
  };

  #onPageShow = () => {
    if (this.#state !== 'suspended') return;
    this.#failures = 0;
    this.#connect();
  };

  // ------------------------------------------------------------------------------------------------------------------- timers

  #after(name, delay, work) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(() => {
      this.#timers[name] = undefined;
      work();
    }, delay);
  }

  #clear(...names) {
    for (const name of names) {
      clearTimeout(this.#timers[name]);
      this.#timers[name] = undefined;
    }
  }

  static {
    Object.assign(this.prototype, { CONNECTING, OPEN, CLOSING, CLOSED });
    for (const type of ['open', 'message', 'error', 'close', 'state']) {
      Object.defineProperty(this.prototype, `on${type}`, {
        configurable: true,
        enumerable: true,
        get() { return this.#handlers[type] ?? null; },
        set(handler) {
          this.removeEventListener(type, this.#handlers[type]);
          this.#handlers[type] = typeof handler === 'function' ? handler : null;
          if (this.#handlers[type]) this.addEventListener(type, this.#handlers[type]);
        },
      });
    }
  }
}

export default WsBeat;
