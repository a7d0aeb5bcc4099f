// Uses of the types that must compile, and mistakes that must not.
import WsBeatDefault, { WsBeat, WsBeatCloseEvent, WsBeatSendError, type WsBeatOptions, type WsBeatState } from 'wsbeat';

const options: WsBeatOptions = { protocols: ['v1'], beat: 'subprotocol', queue: { policy: 'latest' }, reconnect: { never: [1008, [4000, 4099]] },
  credentials: async () => ({ query: { token: 'x' } }), goodbye: { code: 3000 } };
const ws: WsBeat = new WsBeatDefault(() => new URL('wss://host/'), options);
ws.onclose = (event: WsBeatCloseEvent) => { const delay: number = event.delay; void delay; };
ws.addEventListener('state', ({ state, previous }) => { const states: WsBeatState[] = [state, previous]; void states; });
ws.addEventListener('message', ({ data }) => { void data; });
ws.send(new Uint8Array(3), { key: 'k' }).catch((error: WsBeatSendError) => { const why: 'full' | 'dropped' | 'superseded' | 'closed' = error.reason; void why; });
new WsBeat('ws://host/', { reconnect: { never: ({ code, wasClean }) => wasClean && code === 1000 } }).close(1000, 'bye');
new WsBeat(new URL('ws://host/'), { reconnect: false, goodbye: false });
class Extended extends WsBeat {
  protected override prepare(url: URL, protocols: string[]): void { protocols.push(url.host); }
  protected override greet(transmit: (data: string) => void): void { transmit('resume'); }
  protected override intercept(data: unknown): boolean { return data === ''; }
}
void Extended;

// @ts-expect-error no such policy
new WsBeat('ws://host/', { queue: { policy: 'other' } });
// @ts-expect-error no such option
new WsBeat('ws://host/', { reconnects: true });
// @ts-expect-error the URL is missing
new WsBeat();
// @ts-expect-error read only
ws.readyState = 1;
// @ts-expect-error not for the application
ws.greet(() => {});
