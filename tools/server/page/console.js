// A connection by hand: connect, send, close with a code. It is a client like any other.
import {$, clock, element, setText} from './format.js';

const keptLines = 500;
const shownCharacters = 2000;
let socket = null;

function log(text, kind) {
  const list = $('console-log');
  const line = element('li', kind);
  line.append(element('time', 'dim', clock(Date.now())), ' ', text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text);
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  list.append(line);
  if (list.childElementCount > keptLines) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function show(state) {
  setText($('state'), state);
  $('state').className = state;
  $('connect-button').disabled = socket !== null;
  $('send-button').disabled = $('close-button').disabled = state !== 'open';
}

function connect() {
  let opened = null;
  try {
    const url = new URL($('url').value);
    if (url.host !== location.host) throw new Error(`this page may connect to ${location.host} only`);
    if ($('token').value) url.searchParams.set('token', $('token').value);
    opened = new WebSocket(url, $('protocols').value.split(',').map(name => name.trim()).filter(Boolean));
  } catch (error) {
    log(error.message, 'bad');
    return;
  }
  socket = opened;
  socket.binaryType = 'arraybuffer';
  show('connecting');
  socket.onopen = () => {
    show('open');
    log('open' + (opened.protocol && `, subprotocol ${opened.protocol}`) + (opened.extensions && `, ${opened.extensions}`), 'dim');
    $('text').focus();
  };
  socket.onmessage = ({data}) => log('< ' + (typeof data === 'string' ? data : `${data.byteLength} bytes`), 'received');
  socket.onerror = () => log('error', 'bad');
  socket.onclose = ({code, reason, wasClean}) => {
    socket = null;
    show('not connected');
    log(`closed: code ${code}, reason "${reason}", wasClean ${wasClean}`, wasClean ? 'dim' : 'bad');
  };
}

export function startConsole() {
  $('url').value = `${location.protocol.replace('http', 'ws')}//${location.host}/`;
  $('connect').onsubmit = event => {
    event.preventDefault();
    if (!socket) connect();
  };
  $('send').onsubmit = event => {
    event.preventDefault();
    if (socket?.readyState !== WebSocket.OPEN) return;
    socket.send($('text').value);
    log(`> ${$('text').value}`, 'sent');
    $('text').select();
  };
  $('close').onsubmit = event => {
    event.preventDefault();
    try {
      socket?.close(Number($('code').value), $('reason').value);
      if (socket) show('closing');
    } catch (error) {
      log(error.message, 'bad');
    }
  };
  show('not connected');
}
