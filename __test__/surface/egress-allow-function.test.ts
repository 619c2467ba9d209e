// A function as `allow`: it decides instead of the lists, about each URL.
import { expect, test } from 'bun:test';
import {
  createEgressGuard,
  type EgressDenyInfo,
  type EgressGuardOptions,
} from '@absolutejs/runtime';
import { lookupOf, serve } from '../support/surface/egress.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const names = {
  'app.test': ['127.0.0.1'],
  'cloud.test': ['169.254.169.254'],
  'other.test': ['127.0.0.1'],
};
const guardThat = (allow: EgressGuardOptions['allow'], options: EgressGuardOptions = {}) =>
  createEgressGuard({ allow, lookup: lookupOf(names).lookup, ...options });

test('URLs that it admits are reached, public or not; it gets the tenant and a copy of the URL', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const asked: [string, string][] = [];
  const guard = guardThat((tenant, url) => {
    asked.push([tenant, url.href]);
    url.hostname = 'elsewhere.test';
    return true;
  });
  const url = `${server.at('app.test')}/x`;
  expect(await (await guard.fetch('acme', url)).text()).toBe('reached');
  expect(new Set(asked.map(String))).toEqual(new Set([String(['acme', url])]));
  expect(await (await guard.fetch('acme', `http://127.0.0.1:${server.port}/`)).text()).toBe(
    'reached',
  );
});

test.each([false, undefined, null, 0, ''])('%p is a no', async (answer) => {
  const guard = guardThat(() => answer as any);
  const error = await rejectionOf(guard.fetch('acme', 'http://app.test/'));
  expect([error.code, error.reason, error.tenant]).toEqual([
    'ERR_RUNTIME_EGRESS_DENIED',
    'not-allowed',
    'acme',
  ]);
  expect(error.message).toContain('(not-allowed)');
});

test('a promise is a refusal, whatever it resolves to, and its rejection is not unhandled', async () => {
  for (const promise of [Promise.resolve(true), Promise.reject(new Error('x'))]) {
    const error = await rejectionOf(
      guardThat((() => promise) as any).fetch('acme', 'http://app.test/'),
    );
    expect(error.message).toContain('must answer at once');
  }
});

test('what it throws reaches the caller', async () => {
  const boom = new Error('boom');
  const guard = guardThat(() => {
    throw boom;
  });
  expect(await rejectionOf(guard.fetch('acme', 'http://app.test/'))).toBe(boom);
});

test('redirects are asked about one by one', async () => {
  await using server = await serve(({ url }, response) => {
    if (url === '/') response.writeHead(302, { location: `http://other.test:${server.port}/y` });
    response.end('reached');
  });
  const guard = guardThat((_, url) => url.hostname === 'app.test');
  const error = await rejectionOf(guard.fetch('acme', server.at('app.test')));
  expect(error.url).toBe(`http://other.test:${server.port}/y`);
});

test('a name that it admits is still no way to a metadata service; schemes, credentials and ports stay as they are', async () => {
  const guard = guardThat(() => true);
  for (const url of [
    'http://cloud.test/',
    'ftp://app.test/',
    'http://a:b@app.test/',
    'http://app.test:25/',
  ]) {
    expect((await rejectionOf(guard.fetch('acme', url))).code).toBe('ERR_RUNTIME_EGRESS_DENIED');
  }
});

test('`onDeny` gets one of three reasons, and what it throws is ignored', async () => {
  const told: EgressDenyInfo[] = [];
  const guard = guardThat(() => false, {
    onDeny(info) {
      told.push(info);
      throw new Error('x');
    },
  });
  await rejectionOf(guard.fetch('acme', 'http://app.test/'));
  expect(told).toEqual([
    { tenant: 'acme', url: new URL('http://app.test/'), reason: 'not-allowed' },
  ]);
});

test('a guard with options of its own gives its own reasons, and `onDeny` the three all the same', async () => {
  const reasons: string[] = [];
  const onDeny = ({ reason }: EgressDenyInfo) => void reasons.push(reason);
  const guard = createEgressGuard({ onDeny, onDenied: ({ reason }) => void reasons.push(reason) });
  expect((await rejectionOf(guard.fetch('acme', 'http://127.0.0.1/'))).reason).toBe('address');
  expect(reasons.sort()).toEqual(['address', 'not-allowed']);
});

test('the guard counts: tenants, requests, refusals by reason, bytes', async () => {
  await using server = await serve((_, response) => void response.end('x'.repeat(1_000)));
  const guard = guardThat(() => true, { budgets: { requests: 2 } });
  expect(guard.metrics()).toEqual({
    tenants: 0,
    requests: 0,
    denied: { 'not-allowed': 0, 'requests-budget': 0, 'bytes-budget': 0 },
    bytesEgress: 0,
  });
  for (const key of ['a', 'a', 'b']) await (await guard.fetch(key, server.at('app.test'))).text();
  await rejectionOf(guard.fetch('a', server.at('app.test')));
  await rejectionOf(guard.fetch('a', 'ftp://app.test'));
  const { tenants, requests, denied, bytesEgress } = guard.metrics();
  expect({ tenants, requests, denied }).toEqual({
    tenants: 2,
    requests: 3,
    denied: { 'not-allowed': 1, 'requests-budget': 1, 'bytes-budget': 0 },
  });
  expect(bytesEgress).toBeGreaterThan(3_000);
  guard.reset();
  await (await guard.fetch('a', server.at('app.test'))).text();
});
