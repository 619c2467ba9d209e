import { expect, test } from 'bun:test';
import type { GatewayPage, GatewayRefusal } from '@absolutejs/runtime/gateway';
import { MIRROR, open } from '../support/gateway/house.ts';

const CRASHES = `console.error('the password is 1234'); process.exit(3);`;

test('a tenant that does not start is a 502, and then a 503 with Retry-After', async () => {
  await using house = await open({
    tenants: { broken: CRASHES },
    runtime: { backoff: { baseMs: 60_000 } },
  });
  const first = await house.ask('broken');
  expect(first.status).toBe(502);
  expect(await first.text()).not.toContain('password');
  const second = await house.ask('broken');
  expect(second.status).toBe(503);
  const seconds = Number(second.headers.get('retry-after'));
  expect(seconds).toBeWithin(1, 61);
  expect(await second.text()).not.toContain('password');
  expect(house.starts).toEqual(['broken']);
});

test('a tenant that is not ready in time is a 504', async () => {
  const tenants = { deaf: 'setInterval(() => {}, 1_000);' };
  await using house = await open({ tenants, runtime: { readinessTimeoutMs: 300 } });
  expect((await house.ask('deaf')).status).toBe(504);
});

test('a request waits for its tenant no longer than it may', async () => {
  const tenants = { deaf: 'setInterval(() => {}, 1_000);' };
  await using house = await open({ tenants, gateway: { wake: { timeoutMs: 200 } } });
  const answer = await house.ask('deaf');
  expect(answer.status).toBe(504);
  await answer.text();
});

test('a draining host refuses what would start', async () => {
  await using house = await open({ tenants: { hello: MIRROR, other: MIRROR } });
  await house.mirrored('hello');
  house.runtime.drain();
  expect((await house.mirrored('hello')).path).toBe('/');
  const refused = await house.ask('other');
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
});

test('a waiting request whose start is killed is a 503', async () => {
  const tenants = { slow: `await Bun.sleep(60_000);` };
  await using house = await open({ tenants });
  const answer = house.ask('slow');
  while (house.runtime.inspect('slow')?.state !== 'spawning') await Bun.sleep(2);
  await house.runtime.kill('slow');
  expect((await answer).status).toBe(503);
});

test('the page of a refusal may be the user’s own', async () => {
  const refusals: GatewayRefusal[] = [];
  await using house = await open({
    tenants: { broken: CRASHES },
    gateway: {
      async page(refusal): Promise<GatewayPage> {
        refusals.push(refusal);
        if (refusal.code === 'unknown-host') throw new Error('of the user');
        if (refusal.key === null) return { body: 'none', headers: { 'content-length': '1' } };
        const body = new TextEncoder().encode(`<p>${refusal.status}</p>`);
        return { body, headers: { 'X-Mine': 'yes' } };
      },
    },
  });
  const own = await house.ask('broken');
  expect(await own.text()).toBe('<p>502</p>');
  expect(own.headers.get('x-mine')).toBe('yes');
  expect(own.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const thrown = await house.ask('other.example');
  expect([thrown.status, await thrown.text()]).toEqual([404, expect.stringContaining('<h1>404')]);
  const odd = await house.ask('nobody');
  expect([odd.status, await odd.text()]).toEqual([404, expect.stringContaining('<h1>404')]);
  const waiting = await house.ask('broken');
  expect(waiting.status).toBe(503);
  expect(refusals[0]).toEqual({ status: 502, code: 'failed', key: 'broken' });
  expect(refusals.at(-1)).toEqual({
    ...{ status: 503, code: 'backing-off', key: 'broken' },
    retryAfterMs: expect.any(Number),
  });
});
