/** A proxy that nothing should ask. */
import { createServer } from 'node:net';

export class ProxyTrap implements AsyncDisposable {
  /** The first lines of what came. */
  readonly seen: string[] = [];
  #server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      this.seen.push(data.toString('latin1').split('\r\n', 1)[0] ?? '');
      socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 14\r\n\r\nfrom the proxy');
    });
  });

  static async open(): Promise<ProxyTrap> {
    const trap = new ProxyTrap();
    await new Promise<void>((resolve) => trap.#server.listen(0, '127.0.0.1', resolve));
    return trap;
  }

  /** An environment in which these variables name it, and nothing is excepted but what has nothing to do with it. */
  environment(names: readonly string[]): NodeJS.ProcessEnv {
    const { port } = this.#server.address() as import('node:net').AddressInfo;
    const proxies = names.map((name) => [name, `http://127.0.0.1:${port}`]);
    // Node 24 asks proxies only if it is told to.
    const others = { NO_PROXY: 'example.com', no_proxy: undefined, NODE_USE_ENV_PROXY: '1' };
    const none = Object.fromEntries(PROXY_VARIABLES.map((name) => [name, undefined]));
    return { ...none, ...Object.fromEntries(proxies), ...others };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export const PROXY_VARIABLES = ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'] as const;
