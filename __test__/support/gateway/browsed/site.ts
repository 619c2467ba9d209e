// A site that browsers visit: tenants behind a gateway that speaks HTTP/1.1, or TLS and HTTP/2.
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { closeAfterwards, sharedBrowser } from '../../dashboard/shared-browser.ts';
import { open, type House, type Setup } from '../house.ts';

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const FILES = {
  start: 'bun server.mjs',
  'server.mjs': read('server.mjs'),
  'tries.js': read('tries.js'),
};
const TLS = { cert: read('../tls/first.pem'), key: read('../tls/first-key.pem') };

export const VERSIONS = ['http/1.1', 'h2'] as const;
export type Version = (typeof VERSIONS)[number];

/** Two tenants, `site` and `other`, as a browser reaches them. */
export async function openSite(version: Version, { runtime = {}, gateway = {} }: Setup = {}) {
  const tls = version === 'h2' ? { tls: TLS } : {};
  const tenants = { site: FILES, other: FILES };
  const house = await open({ runtime, gateway: { ...tls, ...gateway }, tenants });
  const scheme = version === 'h2' ? 'https' : 'http';
  const originOf = (key: string) => `${scheme}://${key}.localhost:${house.port}`;
  return {
    house,
    origin: originOf('site'),
    other: originOf('other'),
    [Symbol.asyncDispose]: () => house[Symbol.asyncDispose](),
  };
}

/** The origin of the tenant itself, around the gateway. */
export async function originBeside(house: House, key: string): Promise<string> {
  const { port } = await house.runtime.ensure(key);
  return `http://${key}.localhost:${port}`;
}

export { closeAfterwards };

/** A page of a browser that has never been here, closed at the end of the test. */
export async function newPage(): Promise<{ page: Page } & AsyncDisposable> {
  const browser = await sharedBrowser({
    // The certificate is of the tests' own making. Service workers are strict about that, too.
    args: ['--ignore-certificate-errors', '--autoplay-policy=no-user-gesture-required'],
    without: ['--disable-back-forward-cache'],
  });
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    httpCredentials: { username: 'me', password: 'secret' },
  });
  const page = await context.newPage();
  page.setDefaultTimeout(45_000);
  return { page, [Symbol.asyncDispose]: () => context.close() };
}
