// The page: what the feed tells goes to the tiles, the table and the ends; the console stands by itself.
import {ConnectionTable} from './connections.js';
import {startConsole} from './console.js';
import {Sparkline} from './draw.js';
import {Ends} from './ends.js';
import {Feed} from './feed.js';
import {$, age, bytes, count, duration, rate, setText} from './format.js';

const keptPoints = 120;  // a minute of updates
const toastMs = 6000;

const feed = new Feed();
const table = new ConnectionTable();
const ends = new Ends();

// A tile's line through its latest values.
class History {
  constructor(id, tone) {
    this.values = [];
    this.line = new Sparkline(140, 24, tone);
    $(id).append(this.line.node);
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > keptPoints) this.values.shift();
    this.line.set(this.values, 1);
  }
}

const histories = {open: new History('open-line', 'calm'), in: new History('in-line', 'good'), out: new History('out-line', 'good')};
let last = null;

function updateTiles(update) {
  setText($('open'), count(update.open));
  setText($('ended'), count(update.closed));
  setText($('ended-more'), `of ${count(update.opened)} opened`);
  setText($('refusals'), count(update.refused));
  setText($('queued'), bytes(update.queue_bytes));
  setText($('lag'), duration(update.loop_lag_us));
  setText($('feed-text'), update.stopping ? 'live, the server is stopping' : 'live');
  setText($('uptime'), `up ${age(update.uptime_ms * 1000)}`);
  histories.open.add(update.open);
  if (last && update.uptime_ms > last.uptime_ms) {
    const seconds = (update.uptime_ms - last.uptime_ms) / 1000;
    for (const way of ['in', 'out']) {
      const perSecond = Math.max(update[`messages_${way}`] - last[`messages_${way}`], 0) / seconds;
      setText($(way), `${rate(perSecond)} /s`);
      histories[way].add(perSecond);
    }
  }
  last = update;
}

// Not before it is known whether the token is right: who typed it stays where they are.
function hideAccess() {
  const hadFocus = $('access').contains(document.activeElement);
  $('access').hidden = true;
  if (hadFocus) $('connections').focus();
}

feed.addEventListener('state', ({detail: {name, text}}) => {
  $('feed').className = name;
  setText($('feed-text'), name === 'refused' ? 'not shown' : text);
  if (name === 'locked') $('access').hidden = false;
  if (['live', 'refused'].includes(name)) hideAccess();
  if (name === 'locked') setText($('access-note'), feed.token ? 'That is not the token.' : 'The dashboard of this server needs its token.');
  $('refused').hidden = name !== 'refused';
  if (name === 'refused') setText($('refused'), text);
  const live = name === 'live';
  $('connections').classList.toggle('stale', !live);
  if (live) $('tiles').hidden = false;
  else setText($('uptime'), '');
  last = null;
});

feed.addEventListener('rights', ({detail: {mayClose}}) => table.setOnClose(mayClose ? askToClose : null));

feed.addEventListener('update', ({detail}) => {
  updateTiles(detail);
  table.update(detail);
  ends.update(detail);
});

for (const kind of ['note', 'error']) {
  let timer = 0;
  feed.addEventListener(kind, ({detail}) => {
    setText($('toast'), detail);
    $('toast').className = `toast ${kind}`;
    $('toast').hidden = false;
    clearTimeout(timer);
    timer = setTimeout(() => { $('toast').hidden = true; }, toastMs);
  });
}

let asked = '';
function askToClose(connection) {
  asked = connection.conn;
  setText($('closing-text'), `${connection.conn} · ${connection.path} · ${connection.peer}`);
  $('closing').showModal();
  $('closing-code').select();
}
$('closing-cancel').onclick = () => $('closing').close();
$('closing-form').onsubmit = event => {
  event.preventDefault();
  $('closing').close();
  feed.closeConnection(asked, $('closing-code').value, $('closing-reason').value);
};

$('access').onsubmit = event => {
  event.preventDefault();
  feed.setToken($('access-token').value);
};
$('order').onchange = () => feed.setOrder($('order').value);

startConsole();
feed.start();
