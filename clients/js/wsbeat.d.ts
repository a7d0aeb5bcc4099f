// Types of wsbeat.js.

/** What can be sent. Anything else is turned into a string. */
export type WsBeatData = string | ArrayBufferLike | ArrayBufferView | Blob;

/** connecting, open, waiting (to connect again), suspended (the page is in the back-forward cache), closing, closed. */
export type WsBeatState = 'connecting' | 'open' | 'waiting' | 'suspended' | 'closing' | 'closed';

type Maybe<T> = T | Promise<T>;

export interface WsBeatCredentials {
  /** Parameters for the URL's query. */
  query?: Record<string, string>;
  /** A token, offered as the subprotocol `wsbeat.token.` and the token in base64url. */
  subprotocol?: string;
  /** User and password in the URL: `ws://user:password@host`. */
  user?: string;
  password?: string;
}

export interface WsBeatReconnect {
  /** Milliseconds: the first delay is between 0 and this. Default 1000. */
  minDelay?: number;
  /** Milliseconds: no delay is longer. Default 30000. */
  maxDelay?: number;
  /** The ceiling of each delay is so many times that of the one before. Default 2. */
  factor?: number;
  /** Milliseconds: after a connection that lasted so long, delays begin anew. Default 5000. */
  stableAfter?: number;
  /** Attempts that fail in a row before giving up. Default Infinity. */
  maxAttempts?: number;
  /** Closes after which there is no coming back: codes, ranges, or a function. Default [1008, [4000, 4099]]. */
  never?: ReadonlyArray<number | readonly [from: number, to: number]> | ((info: WsBeatCloseInfo) => boolean);
  /** A number from 0 to below 1. Default Math.random. */
  random?: () => number;
}

export interface WsBeatQueue {
  /** When the queue is full: drop the oldest, keep the latest of each key (and else drop the oldest), or refuse the new one. Default refuse. */
  policy?: 'drop' | 'latest' | 'refuse';
  /** Default 1000. */
  maxMessages?: number;
  /** Default 1 MiB. */
  maxBytes?: number;
}

export interface WsBeatOptions {
  /** Subprotocols to offer, or a function that gives them before each attempt. */
  protocols?: string | readonly string[] | (() => Maybe<string | readonly string[]>);
  /** Credentials, or a function that gives fresh ones before each attempt. */
  credentials?: WsBeatCredentials | (() => Maybe<WsBeatCredentials | undefined>);
  /** Ask the server for application beats, by the query (also `true`) or by a subprotocol. Default false. */
  beat?: boolean | 'query' | 'subprotocol';
  /** So many intervals of silence are the end. Default 2.5. */
  missedBeats?: number;
  /** false: never reconnect. */
  reconnect?: WsBeatReconnect | false;
  queue?: WsBeatQueue;
  /** Bytes: the socket is given more while its bufferedAmount is below this. Default 256 KiB. */
  highWater?: number;
  /** The Close that is sent when the page is hidden for good; false: leave it to the browser. Default 1000, "page hidden". */
  goodbye?: { code?: number; reason?: string } | false;
  /** Milliseconds for a handshake; 0: as long as the browser likes. Default 20000. */
  connectTimeout?: number;
  binaryType?: BinaryType;
  /** A WebSocket class other than the global one, such as npm's ws. */
  WebSocket?: new (url: string, protocols?: any, options?: any) => any;
  /** Third argument for that class: in npm's ws for instance `{ headers: { Cookie: "..." } }`. */
  socketOptions?: unknown;
  /** Where `online`, `pagehide` and `pageshow` come from. Default globalThis. */
  page?: EventTarget;
}

export interface WsBeatCloseInfo {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}

export class WsBeatCloseEvent extends Event implements WsBeatCloseInfo {
  constructor(init: WsBeatCloseInfo & { willReconnect: boolean; delay: number });
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  /** Whether another attempt follows, and after how many milliseconds. */
  readonly willReconnect: boolean;
  readonly delay: number;
}

export class WsBeatStateEvent extends Event {
  constructor(state: WsBeatState, previous: WsBeatState);
  readonly state: WsBeatState;
  readonly previous: WsBeatState;
}

/** With which promises of send() reject. */
export class WsBeatSendError extends Error {
  constructor(reason: WsBeatSendError['reason']);
  readonly reason: 'full' | 'dropped' | 'superseded' | 'closed' | 'disconnected';
}

export interface WsBeatEventMap {
  open: Event;
  message: MessageEvent;
  /** `error` is set if a function of the options failed, or the WebSocket could not be made. */
  error: Event & { readonly error?: unknown };
  close: WsBeatCloseEvent;
  state: WsBeatStateEvent;
}

type Handler<K extends keyof WsBeatEventMap> = ((this: WsBeat, event: WsBeatEventMap[K]) => unknown) | null;

export class WsBeat extends EventTarget {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;

  constructor(url: string | URL | (() => Maybe<string | URL>), options?: WsBeatOptions);

  readonly readyState: 0 | 1 | 2 | 3;
  readonly url: string;
  readonly protocol: string;
  readonly extensions: string;
  /** Bytes that wait here and in the socket. */
  readonly bufferedAmount: number;
  binaryType: BinaryType;
  readonly state: WsBeatState;
  /** Milliseconds between the server's beats; 0: it has sent none. */
  readonly beatInterval: number;

  /** Resolves when the socket has taken the message; rejects with a WsBeatSendError. `key`: for the policy "latest". `keep: false`: this
   * message is for the present connection only, and rejects as "disconnected" when that ends or there is none. */
  send(data: WsBeatData, options?: { key?: string | number; keep?: boolean }): Promise<void>;
  /** Ends it for good. `code`: 1000, or 3000 to 4999. */
  close(code?: number, reason?: string): void;

  onopen: Handler<'open'>;
  onmessage: Handler<'message'>;
  onerror: Handler<'error'>;
  onclose: Handler<'close'>;
  onstate: Handler<'state'>;

  addEventListener<K extends keyof WsBeatEventMap>(type: K, listener: (this: WsBeat, event: WsBeatEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof WsBeatEventMap>(type: K, listener: (this: WsBeat, event: WsBeatEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;

  /** For subclasses: before each attempt; may change the URL and add subprotocols. */
  protected prepare(url: URL, protocols: string[]): Maybe<void>;
  /** For subclasses: just opened; `transmit` sends ahead of everything that waits. */
  protected greet(transmit: (data: WsBeatData) => void): void;
  /** For subclasses: true keeps a message from the application. */
  protected intercept(data: unknown): boolean;
}

export default WsBeat;
