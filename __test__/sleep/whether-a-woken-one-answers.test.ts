// A tenant that is woken is to answer within a second: that its event loop turns, and not that its page is quick.
import { expect, test } from 'bun:test';
import { ask, asleep, createSleepyPool } from '../support/sleep/pool.ts';

const APP = `
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  fetch(request) {
    const end = performance.now() + Number(new URL(request.url).searchParams.get('busy') ?? 0);
    while (performance.now() < end);
    return new Response(String(process.pid));
  },
});
`;

test('a page that keeps its program busy for seconds after a wake is no failure', async () => {
  await using pool = createSleepyPool();
  pool.tenants.add('a', { 'server.ts': APP });
  const tenant = await pool.runtime.ensure('a');
  const pid = await ask(tenant);
  await asleep(pool, 'a');
  await pool.runtime.ensure('a');
  const page = await fetch(`http://127.0.0.1:${tenant.port}/?busy=2500`);
  expect(await page.text()).toBe(pid);
  expect(pool.events.of('exit', 'a')).toEqual([]);
});
