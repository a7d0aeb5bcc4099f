// What topics.js asks its server for: one request class for each kind, and what it makes of the answers and messages that belong to it.

const KEY_WINDOW_MS = 100000; // shorter than the two minutes for which a key is known to the servers

// Of what is asked for, on the present connection.
export const IDLE = 0;
export const ASKED = 1;
export const ACTIVE = 2;

/** With which promises reject. `code`: one of the protocol's, or "disconnected" if the answer never came,
 * "failed" if the request could not be sent, "full" if too many publications wait. */
export class TopicError extends Error {
  constructor(code, text) {
    super(text ?? code);
    this.name = 'TopicError';
    this.code = code;
  }
}

/** Messages between `after` and `sequence` that the pattern matches, if there were any, will not come. */
export class TopicMissedEvent extends Event {
  constructor({ pattern, after, sequence }) {
    super('missed');
    Object.assign(this, { pattern, after, sequence });
  }
}

// A listener that throws disturbs nobody else; what it threw is reported as uncaught.
export function tell(listener, ...values) {
  try {
    listener(...values);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export const disconnected = (text = 'the connection ended before the answer came') => new TopicError('disconnected', text);

// Something that is sent, and answered once. What is lost with its connection fails.
export class Request {
  status = IDLE;

  constructor(message) {
    this.body = message && JSON.stringify(message);
    this.settled = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.settled.catch(() => {});
  }

  text(id) { return `${this.body.slice(0, -1)},"id":${id}}`; }
  acknowledged(message) { this.resolve(message); }
  failed(error) { this.reject(error); }
  lost() { this.reject(disconnected()); }
}

// Publishes until it is acknowledged, over as many connections as that takes.
export class Publication extends Request {
  #sentFirst = 0;

  text(id) {
    this.#sentFirst ||= Date.now();
    return super.text(id);
  }

  // Published once more, it could now be stored twice.
  get expired() { return this.#sentFirst !== 0 && Date.now() - this.#sentFirst > KEY_WINDOW_MS; }
  lost() { this.status = IDLE; }
}

// What is asked for on each connection anew, until it is withdrawn.
export class Wish extends Request {
  granted = false;

  constructor(type, topic) {
    super();
    this.type = type;
    this.topic = topic;
    this.key = `${type} ${topic}`;
  }

  get message() { return { type: this.type, topic: this.topic }; }
  text(id) { return JSON.stringify({ ...this.message, id }); }

  acknowledged(message) {
    this.status = ACTIVE;
    this.granted = true;
    super.acknowledged(message);
  }

  lost() { this.status = IDLE; }
}

export class Membership extends Wish {
  constructor(topic, member) {
    super('join', topic);
    this.member = member;
  }

  get message() { return { ...super.message, member: this.member }; }
}

export class Subscription extends Wish {
  listeners = new Map(); // listener -> onMissed
  #resumes; // a retained message that came before the first acknowledgement is no place to go on from
  #held = []; // durable events that came before the acknowledgement: it tells which of them are news
  #onMissed;

  constructor(pattern, after, onMissed) {
    super('subscribe', pattern);
    this.position = after;
    this.#resumes = after !== undefined;
    this.#onMissed = onMissed;
  }

  get message() {
    return this.#resumes && this.position !== undefined ? { ...super.message, after: this.position } : super.message;
  }

  acknowledged(message) {
    const { sequence, missed = false } = message;
    if (missed) this.#missed(sequence);
    else if (!(this.position >= sequence)) this.position = sequence ?? this.position;
    this.#resumes = true;
    super.acknowledged(message);
    const held = this.#held;
    this.#held = [];
    for (const event of held) this.#news(event);
  }

  lost() {
    super.lost();
    this.#held = [];
  }

  event(event) {
    if (event.sequence === undefined) {
      this.#tell(event);
    } else if (this.status === ACTIVE || (event.replay !== undefined && this.status === ASKED)) {
      // What is new has a greater number than what was new before, unless the stream was made anew.
      if (event.replay === undefined && event.sequence < this.position) this.#missed(event.sequence - 1);
      this.#news(event);
    } else if (this.status === ASKED) {
      this.#held.push(event);
    } // else of a former subscription, or from before this one
  }

  #missed(sequence) {
    const after = this.position;
    this.position = sequence;
    const event = new TopicMissedEvent({ pattern: this.topic, after, sequence });
    for (const onMissed of [...this.listeners.values()]) if (onMissed) tell(onMissed, event);
    this.#onMissed(event);
  }

  #news(event) {
    if (this.position >= event.sequence) return;
    this.position = event.sequence;
    if (event.replay !== undefined) this.#held = this.#held.filter(({ sequence }) => sequence > event.sequence);
    this.#tell(event);
  }

  #tell({ data, topic, sequence }) {
    for (const listener of [...this.listeners.keys()]) tell(listener, data, topic, sequence);
  }
}

export class Watch extends Wish {
  listeners = new Set();
  members = new Set(); // as the listeners know them
  #heard = new Set(); // members that messages told of before the acknowledgement: those are newer than its list
  #doubtful = new Set(); // known from the last connection, not heard of on this one
  #settling;

  constructor(topic, settle) {
    super('watch', topic);
    this.settle = settle;
  }

  acknowledged(message) {
    const there = message.members ?? [];
    this.#doubtful = new Set([...this.members].filter((member) => !there.includes(member) && !this.#heard.has(member)));
    for (const member of there) if (!this.#heard.has(member)) this.#change(member, true);
    this.#heard.clear();
    super.acknowledged(message);
    // A server that has just begun to watch learns of members elsewhere one by one.
    if (this.#doubtful.size > 0) this.#settling = setTimeout(() => this.#settleDoubts(), this.settle);
  }

  lost() {
    super.lost();
    clearTimeout(this.#settling);
    this.#heard.clear();
    this.#doubtful.clear();
  }

  presence({ member, present }) {
    if (this.status === IDLE) return; // of a former watch
    if (this.status === ASKED) this.#heard.add(member);
    this.#doubtful.delete(member);
    this.#change(member, present);
  }

  #settleDoubts() {
    for (const member of this.#doubtful) this.#change(member, false);
    this.#doubtful.clear();
  }

  #change(member, present) {
    if (this.members.has(member) === present) return;
    if (present) this.members.add(member);
    else this.members.delete(member);
    for (const listener of [...this.listeners]) tell(listener, member, present, this.topic);
  }
}
