// The dashboard's connection to the server: asks whether it may watch, watches while the page is visible, comes back when cut off.
// Events: state (detail {name, text}), update (detail: what the server said), note and error (detail: text).

const longestWaitMs = 10000;
const endpoint = () => new URL('api/dashboard', document.baseURI);

export class Feed extends EventTarget {
  constructor() {
    super();
    this.socket = null;
    this.timer = 0;
    this.failures = 0;
    this.turn = 0;  // what belongs to an earlier attempt is not heard
    this.token = '';
    this.tokenName = 'dashboard_token';
    this.order = '';
    document.addEventListener('visibilitychange', () => this.start());
  }

  start() {
    if (document.visibilityState !== 'visible') return this.stop('paused', 'paused while out of sight');
    this.stop('connecting', 'connecting');
    this.connect(this.turn);
  }

  stop(name, text) {
    ++this.turn;
    clearTimeout(this.timer);
    this.socket?.close(1000);
    this.socket = null;
    this.say(name, text);
  }

  setToken(token) {
    this.token = token;
    this.failures = 0;
    this.start();
  }

  setOrder(order) {
    this.order = order;
    this.send(`order ${order}`);
  }

  closeConnection(conn, code, reason) {
    this.send(`close ${conn} ${code} ${reason}`.trimEnd());
  }

  send(text) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
  }

  say(name, text) {
    this.dispatchEvent(new CustomEvent('state', {detail: {name, text}}));
  }

  address() {
    const url = endpoint();
    if (this.token) url.searchParams.set(this.tokenName, this.token);
    return url;
  }

  async connect(turn) {
    let answer = null;
    let body = '';
    try {
      answer = await fetch(this.address(), {cache: 'no-store'});
      body = await answer.text();
    } catch {
      if (turn === this.turn) this.retry('the server does not answer');
      return;
    }
    if (turn !== this.turn) return;
    if (answer.status === 401) {
      this.tokenName = JSON.parse(body).needs;
      this.say('locked', this.token ? 'wrong token' : 'token needed');
    } else if (answer.status === 403) {
      this.say('refused', body.trim());
    } else if (!answer.ok) {
      this.retry(`the server answered ${answer.status}`);
    } else {
      this.open(turn, JSON.parse(body));
    }
  }

  open(turn, {may_close: mayClose, subprotocols}) {
    const url = this.address();
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, subprotocols.split(',').map(name => name.trim()).filter(Boolean));
    this.socket = socket;
    socket.onopen = () => {
      if (turn !== this.turn) return;
      this.say('live', 'live');
      this.dispatchEvent(new CustomEvent('rights', {detail: {mayClose}}));
      if (this.order) this.setOrder(this.order);
    };
    socket.onmessage = ({data}) => {
      if (turn !== this.turn) return;
      this.failures = 0;
      const {type, ...rest} = JSON.parse(data);
      this.dispatchEvent(new CustomEvent(type, {detail: type === 'update' ? rest : rest.text}));
    };
    socket.onclose = ({code, reason}) => {
      if (turn === this.turn) this.retry(reason || `cut off (${code})`);
    };
  }

  retry(why) {
    this.socket = null;
    const waitMs = Math.min(500 * 2 ** this.failures++, longestWaitMs) * (0.75 + Math.random() / 2);
    this.say('lost', `${why}; trying again`);
    this.timer = setTimeout(() => this.connect(this.turn), waitMs);
  }
}
