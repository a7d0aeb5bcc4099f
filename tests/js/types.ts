// Uses of the types that must compile, and mistakes that must not.
import WsBeatDefault, { WsBeat, WsBeatCloseEvent, WsBeatSendError, type WsBeatOptions, type WsBeatState } from 'wsbeat';

const options: WsBeatOptions = { protocols: ['v1'], beat: 'subprotocol', queue: { policy: 'latest' }, reconnect: { never: [1008, [4000, 4099]] },
  credentials: async () => ({ query: { token: 'x' } }), goodbye: { code: 3000 } };
const ws: WsBeat = new WsBeatDefault(() => new URL('wss://host/'), options);
ws.onclose = (event: WsBeatCloseEvent) => { const delay: number = event.delay; void delay; };
ws.addEventListener('state', ({ state, previous }) => { const states: WsBeatState[] = [state, previous]; void states; });
ws.addEventListener('message', ({ data }) => { void data; });
ws.send(new Uint8Array(3), { key: 'k' }).catch((error: WsBeatSendError) => { const why: 'full' | 'dropped' | 'superseded' | 'closed' | 'disconnected' = error.reason; void why; });
new WsBeat('ws://host/', { reconnect: { never: ({ code, wasClean }) => wasClean && code === 1000 } }).close(1000, 'bye');
new WsBeat(new URL('ws://host/'), { reconnect: false, goodbye: false });
import { Topics, type TopicMissedEvent, type StoredResult } from 'wsbeat/topics';
ws.send('now or never', { keep: false }).catch(({ reason }: WsBeatSendError) => reason === 'disconnected');
const topics = new Topics(ws, { maxWaiting: 10, settle: 1000 });
topics.subscribe('a.*', (data, topic, sequence) => { const place: number | undefined = sequence; void [data, topic.length, place]; },
  { after: topics.position('a.*'), onMissed: ({ pattern, after, sequence }: TopicMissedEvent) => void [pattern, after, sequence] });
topics.publish('a.b', 1, { once: true }).then(({ sequence, duplicate }: StoredResult) => void [sequence, duplicate]);
topics.publish('a.b', 1).then((result) => { if ('stored' in result) void result.sequence; else void result.crossed; });
topics.watch('room', (member, present) => { const there: boolean = present; void [member, there]; }).then((members: string[]) => members);
topics.addEventListener('refused', ({ request, error }) => { const code: string = error.code; void [request, code]; });
new Topics(new WebSocket('ws://host/'));
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
// @ts-expect-error no member
topics.join('room');
// @ts-expect-error not for the application
ws.greet(() => {});
