// Numbers and times in words, and putting text into the page. Text from clients goes through setText alone.

export const $ = id => document.getElementById(id);

export function setText(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

export function element(tag, className = '', text = '') {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== '') made.textContent = text;
  return made;
}

// Text chosen by a client: its writing direction ends with it.
export function foreign(text, className = '') {
  const made = element('bdi', className, text);
  made.title = text;
  return made;
}

export const count = number => number.toLocaleString('en');

export function duration(us) {
  if (us < 1e3) return `${us} µs`;
  if (us < 1e5) return `${(us / 1e3).toFixed(1)} ms`;
  if (us < 1e6) return `${Math.round(us / 1e3)} ms`;
  if (us < 1e7) return `${(us / 1e6).toFixed(1)} s`;
  return age(us);
}

// In whole units: 7 s, 3 min 20 s, 5 h 10 min, 2 d 4 h.
export function age(us) {
  const seconds = Math.floor(us / 1e6);
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const at = units.findIndex(([, size]) => seconds >= size);
  if (at < 0) return '0 s';
  const [name, size] = units[at];
  const whole = Math.floor(seconds / size);
  const next = units[at + 1];
  const rest = next ? Math.floor(seconds % size / next[1]) : 0;
  return rest > 0 ? `${whole} ${name} ${rest} ${next[0]}` : `${whole} ${name}`;
}

export function bytes(number) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (number >= 1024 && at < units.length - 1) {
    number /= 1024;
    ++at;
  }
  return `${at === 0 || number >= 100 ? Math.round(number) : number.toFixed(1)} ${units[at]}`;
}

export const rate = perSecond => perSecond >= 10 || perSecond === 0 ? count(Math.round(perSecond)) : perSecond.toFixed(1);

export const clock = ms => new Date(ms).toTimeString().slice(0, 8);

// RFC 6455, 7.4.1, and the IANA registry.
const codeNames = {
  1000: 'normal', 1001: 'going away', 1002: 'protocol error', 1003: 'unsupported data', 1005: 'no code given', 1006: 'no Close came',
  1007: 'invalid data', 1008: 'policy violation', 1009: 'message too big', 1010: 'extension missing', 1011: 'internal error',
  1012: 'service restart', 1013: 'try again later', 1014: 'bad gateway',
};
export const codeName = code => codeNames[code] ?? (code >= 4000 ? 'private' : code >= 3000 ? 'registered' : '');

// How bad a cause is: the colour of its bar and dot.
const tones = {
  peer_close: 'good', local_close: 'good', server_stop: 'good', heartbeat_timeout: 'bad', network_error: 'bad', close_timeout: 'warn',
  slow_consumer: 'warn', auth_timeout: 'warn', idle_timeout: 'warn', protocol_error: 'odd', invalid_text: 'odd', message_too_big: 'odd',
};
export const toneOf = cause => tones[cause] ?? 'odd';
export const causeText = cause => cause.replaceAll('_', ' ');
