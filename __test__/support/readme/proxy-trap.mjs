/** A proxy that must get no request. */
import { createServer } from 'node:net';

export const PROXY_VARIABLES = ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'];

export class ProxyTrap {
  /** The first lines of what came. @type {string[]} */
  seen = [];
  #server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      this.seen.push(data.toString('latin1').split('\r\n', 1)[0] ?? '');
      socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 14\r\n\r\nfrom the proxy');
    });
  });

  static async open() {
    const trap = new ProxyTrap();
    await new Promise((resolve) => trap.#server.listen(0, '127.0.0.1', () => resolve(undefined)));
    return trap;
  }

  /**
   * Variables to be added to an environment: the given names are set to the proxy, and its
   * exceptions to an unrelated host.
   *
   * @param {readonly string[]} names
   * @returns {NodeJS.ProcessEnv}
   */
  environment(names) {
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#server.address());
    const proxy = `http://127.0.0.1:${port}`;
    const proxies = PROXY_VARIABLES.map((name) => [name, names.includes(name) ? proxy : undefined]);
    const exceptions = { NO_PROXY: 'example.com', no_proxy: undefined };
    // Node uses proxies only with this variable, and Node 22 warns that this is experimental.
    const toldTo = { NODE_USE_ENV_PROXY: '1', NODE_NO_WARNINGS: '1' };
    return { ...Object.fromEntries(proxies), ...exceptions, ...toldTo };
  }

  /** @returns {Promise<void>} */
  close() {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}
