// How connections ended: totals as bars, and the latest one by one.
import {Bar} from './draw.js';
import {$, age, causeText, clock, codeName, count, element, foreign, setText, toneOf} from './format.js';

const keptLines = 200;

class Total {
  constructor({cause, code}) {
    this.node = element('tr');
    this.node.setAttribute('role', 'row');
    const name = element('th', '', causeText(cause));
    name.setAttribute('role', 'rowheader');
    name.scope = 'row';
    const codeCell = this.cell('code', code === 0 ? 'other' : code);
    codeCell.title = codeName(code);
    this.bar = new Bar();
    const barCell = this.cell('bars', '');
    barCell.append(this.bar.node);
    this.count = this.cell('number', '');
    this.tone = toneOf(cause);
    this.node.append(name, codeCell, barCell, this.count);
  }

  cell(className, text) {
    const cell = element('td', className, text);
    cell.setAttribute('role', 'cell');
    return cell;
  }

  update(number, most) {
    setText(this.count, count(number));
    this.bar.set(number / most, this.tone);
  }
}

export class Ends {
  constructor() {
    this.totals = new Map();
    this.newest = 0;
    this.started = 0;
  }

  update({totals, ends, ends_missed: missed, closed, closed_clean: clean, started_ms: started}) {
    this.updateTotals(totals);
    if (this.started !== 0 && this.started !== started) {
      this.newest = 0;
      this.addLine(element('li', 'dim', 'the server was started anew'));
    }
    this.started = started;
    // The server tells all that it has kept each time it is connected to.
    const fresh = ends.filter(end => end.number > this.newest);
    if (missed > 0 && this.newest > 0) this.addLine(this.gap(missed));
    for (const end of fresh) this.addLine(this.line(end));
    if (fresh.length > 0) this.newest = fresh.at(-1).number;
    setText($('ends-note'), closed === 0 ? '' : `${count(closed)} ended, ${Math.floor(clean / closed * 100)} % with a Close both ways`);
  }

  updateTotals(totals) {
    const most = Math.max(...totals.map(total => total.count), 1);
    const sorted = [...totals].sort((a, b) => b.count - a.count || a.cause.localeCompare(b.cause) || a.code - b.code);
    const body = $('totals');
    const keys = new Set(sorted.map(({cause, code}) => `${cause} ${code}`));
    for (const [key, row] of this.totals) {
      if (keys.has(key)) continue;
      row.node.remove();
      this.totals.delete(key);
    }
    let place = body.firstElementChild;
    for (const total of sorted) {
      const key = `${total.cause} ${total.code}`;
      let row = this.totals.get(key);
      if (!row) this.totals.set(key, row = new Total(total));
      row.update(total.count, most);
      if (row.node === place) place = place.nextElementSibling;
      else body.insertBefore(row.node, place);
    }
    $('no-totals').hidden = sorted.length > 0;
  }

  line(end) {
    const line = element('li', toneOf(end.cause));
    const head = element('div', 'end-head');
    const code = element('span', 'code', end.code);
    code.title = codeName(end.code);
    head.append(element('time', 'dim', clock(end.at_ms)), element('strong', '', causeText(end.cause)), code);
    if (end.code_sent && end.code_sent !== end.code) head.append(element('span', 'dim', `sent ${end.code_sent}`));
    if (end.reason) head.append(foreign(end.reason, 'reason'));
    const more = element('div', 'small');
    more.append(foreign(end.path, 'path'), ' from ', foreign(end.peer), `, after ${age(end.open_us)}`);
    line.append(head, more);
    return line;
  }

  gap(missed) {
    return element('li', 'dim', `${count(missed)} more ended in between`);
  }

  // The newest comes first.
  addLine(line) {
    const list = $('ends-log');
    list.prepend(line);
    while (list.childElementCount > keptLines) list.lastElementChild.remove();
  }
}
