// A dashboard in front of a made-up host: `await using house = await open(…)`.
import { request, type IncomingHttpHeaders } from 'node:http';
import { createDashboard, type Addresses } from '../../../lib/dashboard/server.js';
import type { DashboardOptions } from '../../../lib/dashboard/options.js';
import { apiOf } from './made-up-api.mjs';
import { madeUpHost } from './made-up-host.mjs';

export type Answer = { status: number; headers: IncomingHttpHeaders; text: string };

export type Setup = Parameters<typeof madeUpHost>[0] & { dashboard?: Partial<DashboardOptions> };

export async function open(setup: Setup = {}) {
  const host = madeUpHost(setup);
  const start = (options: Partial<DashboardOptions>) =>
    createDashboard({ port: 0, ...options }, apiOf(host));
  let dashboard = start(setup.dashboard ?? {});
  const { url, link }: Addresses = await dashboard.listening;
  const token = new URL(link).searchParams.get('token') ?? '';
  return {
    host,
    url,
    link,
    token,
    ask: (path: string, how?: How) => ask(new URL(path, url), how),
    /** The host ends, as far as anybody outside can tell. */
    end: () => dashboard.close(),
    /** Another one comes up at the same address. */
    async comeBack(itsToken = token) {
      dashboard = start({ port: Number(new URL(url).port), token: itsToken });
      await dashboard.listening;
    },
    [Symbol.asyncDispose]: () => dashboard.close(),
  };
}

type How = { method?: string; headers?: Record<string, string>; body?: string };

/** A request with exactly these headers, which `fetch` would not let us send. */
export function ask(url: URL, { method = 'GET', headers = {}, body }: How = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname, search } = url;
    const place = { hostname, port, path: pathname + search, method, headers, agent: false };
    const sent = request(place, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString('latin1');
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
