// `serve --sleep-after`: tenants sleep, ps and events say so, and a request wakes the same process.
import { expect, test } from 'bun:test';
import { directory, ENGINES, run } from '../support/command/run.ts';
import { get, serve, tenantsOf } from '../support/command/serving.ts';

const PATIENCE_MS = 60_000;
/** Answers, but for `/held`: who asks for that is in use until it goes. */
const SERVER = `
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  idleTimeout: 0,
  fetch: ({ url }) => (url.endsWith('/held') ? new Promise(() => {}) : new Response('hello')),
});`;

/** It runs for as long as this is held. */
function hold(port: number): () => Promise<unknown> {
  const leaves = new AbortController();
  const held = get(port, 'hello', '/held', leaves.signal).catch(() => {});
  return () => {
    leaves.abort();
    return held;
  };
}

/** What ps says of the tenant, once it is in this state. */
async function untilIs(state: string, control: string[]): Promise<any> {
  for (const deadline = performance.now() + PATIENCE_MS; ; await Bun.sleep(100)) {
    const { stdout } = await run(['ps', 'hello', '--json', ...control]);
    const [tenant] = JSON.parse(stdout);
    if (tenant.state === state) return tenant;
    if (performance.now() > deadline) throw new Error(`hello is not ${state}: ${stdout}`);
  }
}

for (const engine of ENGINES) {
  test(`${engine}: a tenant sleeps, is shown so, and answers as the same process`, async () => {
    using place = directory();
    await using tenants = tenantsOf();
    tenants.add('hello', { 'server.ts': SERVER });
    // Without limits, which not every host can keep.
    const none = ['--memory', 'none', '--cpus', 'none', '--processes', 'none'];
    const flags = [
      '--sleep-after',
      '1s',
      '--page-out-after',
      'never',
      '--max-asleep',
      '9',
      ...none,
    ];
    const { host, port, control } = await serve(place, tenants.root, flags, { engine });
    await host.says(/asleep after 1s without one/, 'stderr');
    let letGo = hold(port);
    const { pid } = await untilIs('running', control);
    await letGo();
    const asleep = await untilIs('asleep', control);
    expect(asleep).toMatchObject({ pid, depth: 'frozen', starts: 1, problem: null });
    const { stdout } = await run(['ps', ...control]);
    expect(stdout).toMatch(new RegExp(`^hello +asleep, frozen +${pid} `, 'm'));
    expect((await get(port, 'hello')).status).toBe(200);
    letGo = hold(port);
    expect(await untilIs('running', control)).toMatchObject({ pid, depth: null });
    await letGo();
    const events = await run(['events', 'hello', ...control]);
    expect(events.stdout).toMatch(/hello sleeps: it is frozen until it is used again\n/);
    expect(events.stdout).toMatch(/hello woke up in \d+ ms\n/);
    await host.end('SIGTERM');
  });
}
