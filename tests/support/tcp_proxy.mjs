// A TCP proxy that can let its connections down: by FIN, by RST, or by silence.
import { once } from 'node:events';
import net from 'node:net';

export class TcpProxy {
  #pairs = [];
  #silent = false;
  open = 0;

  static async start(targetPort) {
    const proxy = new TcpProxy();
    proxy.targetPort = targetPort;
    proxy.server = net.createServer((client) => {
      const upstream = net.connect(proxy.targetPort, '127.0.0.1');
      proxy.#pairs.push([client, upstream]);
      proxy.open += 1;
      client.on('close', () => { proxy.open -= 1; });
      for (const [from, to] of [[client, upstream], [upstream, client]]) {
        from.on('data', (data) => proxy.#silent || to.write(data));
        from.on('end', () => proxy.#silent || to.end());
        from.on('error', () => to.destroy());
      }
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.port = proxy.server.address().port;
    return proxy;
  }

  get url() { return `ws://127.0.0.1:${this.port}/`; }

  // Where new connections go.
  aim(port) { this.targetPort = port; }
  // As a proxy that closes both sides in good order.
  finish() { for (const pair of this.#pairs.splice(0)) for (const socket of pair) socket.end(); }
  // As one that crashed.
  reset() { for (const pair of this.#pairs.splice(0)) for (const socket of pair) socket.resetAndDestroy(); }
  // As a cable that was pulled: connections stay, nothing passes.
  silence(silent = true) { this.#silent = silent; }

  async stop() {
    this.reset();
    this.server.close();
    await once(this.server, 'close');
  }
}
