// What the tests of the client share: a WsBeat over npm's ws that writes down its events.
import { once } from 'node:events';
import WebSocket from 'ws';
import { WsBeat } from '../../clients/js/wsbeat.js';

export { WebSocket, WsBeat };

export function watch(ws) {
  ws.log = [];
  for (const type of ['open', 'message', 'close', 'state', 'error']) ws.addEventListener(type, (event) => ws.log.push(event));
  return ws;
}

// Ended after the test, whatever it does.
export function client(t, url, options = {}) {
  const ws = watch(new WsBeat(url, { WebSocket, ...options, reconnect: options.reconnect === false ? false : { minDelay: 1, maxDelay: 20, ...options.reconnect } }));
  t.after(() => ws.close());
  return ws;
}

export async function opened(ws) {
  if (ws.readyState !== WsBeat.OPEN) await once(ws, 'open');
  return ws;
}

// A WebSocket that a test opens, closes and fills by hand.
export class FakeSocket {
  static made = [];
  bufferedAmount = 0;
  protocol = '';
  extensions = '';
  sent = [];
  closed = null;

  constructor(url, protocols, options) {
    Object.assign(this, { url, protocols, options });
    FakeSocket.made.push(this);
  }
  open() { this.onopen?.({}); }
  receive(data) { this.onmessage?.({ data }); }
  end(code = 1006, reason = '', wasClean = false) { this.onclose?.({ code, reason, wasClean }); }
  send(data) { this.sent.push(data); }
  close(code, reason) { this.closed = { code, reason }; }
}

// Promises that are ready run before this goes on.
export async function settle() {
  for (let i = 0; i < 20; ++i) await Promise.resolve();
}
