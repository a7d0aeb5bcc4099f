// The table of connections. A row stays the same element while its connection is shown, so focus and selection outlive updates.
import {Bar, Sparkline} from './draw.js';
import {$, age, bytes, count, duration, element, foreign, setText} from './format.js';

const keptRoundTrips = 40;
const keptHistories = 2000;
const countedMs = 1000;  // shorter times are over before the next update
const nearlyFull = 0.5;

class Row {
  constructor(connection, onClose) {
    this.node = element('tr');
    this.node.setAttribute('role', 'row');
    const path = element('th');
    path.setAttribute('role', 'rowheader');
    path.scope = 'row';
    this.id = element('span', 'small');
    path.append(foreign(connection.path, 'path'), this.id);
    this.node.append(path);
    setText(this.id, [`#${connection.conn}`, connection.tls && 'TLS', connection.deflate && 'deflate'].filter(Boolean).join(' · '));

    this.state = this.cell('State', element('span', 'badge'));
    this.cell('Subprotocol', connection.subprotocol ? foreign(connection.subprotocol) : element('span', 'dim', '–'));
    const address = this.cell('Address', foreign(connection.peer));
    if (connection.peer_port) address.after(element('span', 'dim', `:${connection.peer_port}`));
    this.age = this.cell('Age', element('span'));
    this.trip = this.cell('Round trip', element('span', 'beside'));
    this.line = new Sparkline(80, 22);
    this.trip.after(this.line.node);
    this.due = this.cell('Heartbeat due', element('span', 'beside'));
    this.dueBar = new Bar();
    this.due.after(this.dueBar.node);
    this.seen = this.cell('Last seen', element('span'));
    this.queue = this.cell('Queue', element('span', 'beside'));
    this.queueBar = new Bar();
    this.queue.after(this.queueBar.node);
    if (onClose) {
      const button = element('button', 'quiet', 'Close…');
      button.type = 'button';
      button.setAttribute('aria-label', `Close connection ${connection.conn}, ${connection.path}`);
      button.onclick = () => onClose(connection);
      this.cell('Action', button);
    }
  }

  cell(label, content) {
    const cell = element('td');
    cell.setAttribute('role', 'cell');
    cell.dataset.label = label;
    cell.append(content);
    this.node.append(cell);
    return content;
  }

  update(connection, trips, maxQueueBytes) {
    const state = connection.state !== 'open' ? connection.state : connection.paused ? 'paused' : 'open';
    setText(this.state, state + (connection.authenticated ? ', authenticated' : ''));
    this.state.className = `badge ${state}`;
    setText(this.age, age(connection.open_us));
    setText(this.trip, connection.rtt_last_us ? duration(connection.rtt_last_us) : '–');
    this.trip.title = connection.rtt_last_us
      ? `mean ${duration(connection.rtt_smoothed_us)}, least ${duration(connection.rtt_min_us)}, ${connection.pongs_received} pongs to ${connection.pings_sent} pings`
      : '';
    this.line.set(trips);
    this.updateHeartbeat(connection);
    setText(this.seen, connection.idle_in_us < 1e6 ? 'now' : `${age(connection.idle_in_us)} ago`);
    const fill = connection.buffered_bytes / maxQueueBytes;
    setText(this.queue, connection.buffered_bytes === 0 ? 'empty' : `${bytes(connection.buffered_bytes)}, ${Math.ceil(fill * 100)} %`);
    this.queueBar.set(fill, fill >= nearlyFull ? 'bad' : fill > 0.1 ? 'warn' : 'good');
  }

  updateHeartbeat(connection) {
    const interval = connection.heartbeat_interval_ms;
    const dueMs = connection.heartbeat_due_us / 1000;
    const waiting = connection.heartbeat_waiting;
    if (interval === 0) {
      setText(this.due, 'off');
      return this.dueBar.set(0, '');
    }
    const whole = waiting ? connection.heartbeat_timeout_ms : interval;
    const within = whole < countedMs ? `within ${whole} ms` : `in ${age(dueMs * 1000 + 999999)}`;
    setText(this.due, waiting ? connection.paused ? 'answer, not while paused' : `answer ${within}` : `ping ${within}`);
    const gone = 1 - dueMs / whole;
    this.dueBar.set(gone, !waiting ? 'calm' : gone > 0.5 ? 'bad' : 'warn');
  }
}

export class ConnectionTable {
  constructor() {
    this.rows = new Map();
    this.histories = new Map();
    this.started = 0;
    this.onClose = null;
  }

  // onClose(connection) asks whether to close it; null: closing is not allowed.
  setOnClose(onClose) {
    if ((onClose === null) === (this.onClose === null)) return;
    this.onClose = onClose;
    $('action-head').hidden = onClose === null;
    this.clear();
  }

  clear() {
    for (const row of this.rows.values()) row.node.remove();
    this.rows.clear();
    this.histories.clear();
  }

  // Round trips of a connection as they were seen here: one point for each new pong.
  tripsOf(connection) {
    const known = this.histories.get(connection.conn) ?? {pongs: 0, trips: []};
    this.histories.delete(connection.conn);
    this.histories.set(connection.conn, known);  // the latest to be seen come last
    if (connection.pongs_received > known.pongs) {
      known.pongs = connection.pongs_received;
      known.trips.push(connection.rtt_last_us);
      if (known.trips.length > keptRoundTrips) known.trips.shift();
    }
    return known.trips;
  }

  update({connections, open, looked_at: lookedAt, watching, max_queue_bytes: maxQueueBytes, started_ms: started}) {
    if (started !== this.started) {
      this.started = started;
      this.clear();  // another process counts its connections from the beginning
    }
    const focused = document.activeElement;
    const shown = new Set(connections.map(connection => connection.conn));
    let lostFocus = false;
    for (const [conn, row] of this.rows) {
      if (shown.has(conn)) continue;
      lostFocus ||= row.node.contains(focused);
      row.node.remove();
      this.rows.delete(conn);
    }
    const body = $('rows');
    let place = body.firstElementChild;
    for (const connection of connections) {
      let row = this.rows.get(connection.conn);
      if (!row) this.rows.set(connection.conn, row = new Row(connection, this.onClose));
      row.update(connection, this.tripsOf(connection), maxQueueBytes);
      if (row.node === place) place = place.nextElementSibling;
      else body.insertBefore(row.node, place);
    }
    if (lostFocus) $('rows').closest('.scroll').focus({preventScroll: true});
    else if (document.activeElement !== focused && focused?.isConnected) focused.focus({preventScroll: true});
    for (const conn of this.histories.keys()) {
      if (this.histories.size <= keptHistories) break;
      this.histories.delete(conn);
    }
    $('no-rows').hidden = connections.length > 0;
    setText($('shown'), this.summary(connections.length, open, lookedAt, watching));
  }

  summary(shown, open, lookedAt, watching) {
    const parts = [shown < open ? `${count(shown)} of ${count(open)} shown` : `${count(open)} open`];
    if (lookedAt < open && lookedAt > shown) parts.push(`chosen among ${count(lookedAt)}`);
    if (watching > 1) parts.push(`${watching} dashboards watch`);
    return parts.join(', ');
  }
}
