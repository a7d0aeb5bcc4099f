// Types of topics.js.

export const SUBPROTOCOL: 'wsbeat.topics.v1';

export class TopicError extends Error {
  constructor(code: string, text?: string);
  readonly code: 'bad_request' | 'bad_topic' | 'refused' | 'limit' | 'not_subscribed' | 'too_big' | 'failed' | 'disconnected';
}

export function matches(pattern: string, topic: string): boolean;

export type TopicListener = (data: any, topic: string) => void;

/** A WsBeat, a WebSocket, or what looks like one. */
export interface TopicSocket {
  readonly readyState: number;
  send(text: string): unknown;
  addEventListener(type: 'open' | 'message' | 'close', listener: (event: any) => void): void;
}

export interface PublishResult {
  /** Connections of this server that took it, and that refused it. */
  reached: number;
  refused: number;
  /** false: other servers do not get it. */
  crossed: boolean;
}

export class Topics {
  constructor(socket: TopicSocket);
  subscribe(pattern: string, listener: TopicListener): Promise<void>;
  unsubscribe(pattern: string, listener?: TopicListener): Promise<void>;
  publish(topic: string, data: unknown, options?: { retain?: boolean; echo?: boolean }): Promise<PublishResult>;
}

export default Topics;
