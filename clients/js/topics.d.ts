// Types of topics.js.

export const SUBPROTOCOL: 'wsbeat.topics.v1';

export class TopicError extends Error {
  constructor(code: string, text?: string);
  readonly code:
    | 'bad_request' | 'bad_topic' | 'refused' | 'limit' | 'not_subscribed' | 'not_durable' | 'too_big' | 'failed'
    /** The answer never came: the connection ended, or is not open. */
    | 'disconnected'
    /** As many publications with `once` wait as may. */
    | 'full';
}

/** Messages between `after` and `sequence` that the pattern matches, if there were any, will not come. */
export class TopicMissedEvent extends Event {
  readonly pattern: string;
  readonly after: number | undefined;
  readonly sequence: number;
}

/** What had been granted was refused on a new connection, and is gone. */
export class TopicRefusedEvent extends Event {
  readonly request: 'subscribe' | 'join' | 'watch';
  readonly topic: string;
  readonly error: TopicError;
}

export function matches(pattern: string, topic: string): boolean;

/** `sequence`: of a durable topic's message. */
export type TopicListener = (data: any, topic: string, sequence?: number) => void;
export type PresenceListener = (member: string, present: boolean, topic: string) => void;

/** A WsBeat, a WebSocket, or what looks like one. */
export interface TopicSocket {
  readonly readyState: number;
  send(text: string, options?: { keep: false }): unknown;
  addEventListener(type: 'open' | 'message' | 'close', listener: (event: any) => void): void;
}

export interface TopicsOptions {
  /** Publications with `once` that may wait at the same time. Default 1000. */
  maxWaiting?: number;
  /** Milliseconds: members who were there before a reconnect, and are not heard of for so long after it, have left. Default 3000. */
  settle?: number;
}

export interface SubscribeOptions {
  /** Durable messages will not come, because they are not kept any more or are too many. */
  onMissed?: (event: TopicMissedEvent) => void;
  /** Go on after this position, of an earlier page for instance. Counts for the pattern's first listener. */
  after?: number;
}

export interface PublishOptions {
  /** Keep it for those who subscribe later. Default false. */
  retain?: boolean;
  /** false: not to this connection itself. Default true. */
  echo?: boolean;
  /** Durable topics: publish again on the next connection until it is acknowledged; it is stored once. Default false. */
  once?: boolean;
  /** Durable topics: of all messages with one key, the first is stored. Default with `once`: a random one. */
  key?: string;
}

/** Of a topic that is not durable. */
export interface PublishResult {
  /** Connections of this server that took it, and that refused it. */
  reached: number;
  refused: number;
  /** false: other servers do not get it. */
  crossed: boolean;
}

/** Of a durable topic. */
export interface StoredResult {
  stored: true;
  /** Its place among all durable messages; 0: that of the first one with this key, which is not known. */
  sequence: number;
  duplicate: boolean;
}

export interface TopicsEventMap {
  missed: TopicMissedEvent;
  refused: TopicRefusedEvent;
}

export class Topics extends EventTarget {
  constructor(socket: TopicSocket, options?: TopicsOptions);
  subscribe(pattern: string, listener: TopicListener, options?: SubscribeOptions): Promise<void>;
  unsubscribe(pattern: string, listener?: TopicListener): Promise<void>;
  /** The last durable message that the pattern's listeners have been told of. */
  position(pattern: string): number | undefined;
  publish(topic: string, data: unknown, options: PublishOptions & { once: true }): Promise<StoredResult>;
  publish(topic: string, data: unknown, options?: PublishOptions): Promise<PublishResult | StoredResult>;
  join(topic: string, member: string): Promise<void>;
  leave(topic: string): Promise<void>;
  watch(topic: string, listener: PresenceListener): Promise<string[]>;
  unwatch(topic: string, listener?: PresenceListener): Promise<void>;
  members(topic: string): string[];
  addEventListener<K extends keyof TopicsEventMap>(type: K, listener: (event: TopicsEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

export default Topics;
