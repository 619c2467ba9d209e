// How often the kernel's list of connections is read, according to the addon's log.
import { expect, test } from 'bun:test';
import { within } from '../support/processes/index.ts';

/** A host with one tenant in memory, whose port is one of its own with a connection to it. */
const HOST = `
import { createRuntime } from '@absolutejs/runtime';
const [idle, tenants, runMs, closes] = process.argv.slice(1);
const server = Bun.serve({ port: 0, fetch: () => new Response('hello') });
const client = await Bun.connect({ hostname: '127.0.0.1', port: server.port, socket: { data() {} } });
client.write('GET / HTTP/1.1\\r\\nhost: tenant\\r\\n\\r\\n');
const runtime = createRuntime({
  source: { kind: 'directory', root: 'tenants' },
  idle, maxConcurrent: 1000, idleAfterMs: 600, sweepIntervalMs: 200, observeIntervalMs: 0,
  readiness: async () => true,
  spawn: async () => {
    const { promise: exited, resolve } = Promise.withResolvers();
    return { pid: 2 ** 30, exited, kill: () => resolve(0), port: server.port };
  },
});
const since = performance.now();
for (let index = 0; index < tenants; index++) await runtime.ensure('t' + index);
const before = process.cpuUsage();
if (closes === 'true') client.end();
await Bun.sleep(Number(runMs));
const { user, system } = process.cpuUsage(before);
console.log('cpu ' + Math.round((user + system) / 1000));
console.log('lasted ' + Math.round(performance.now() - since));
console.log('running ' + runtime.stats().running);
await runtime.dispose();
server.stop(true);
process.exit(0);
`;

async function run(idle: string, { tenants = 1, runMs = 1_500, closes = false } = {}) {
  const child = Bun.spawn(
    [process.execPath, '-e', HOST, idle, String(tenants), String(runMs), String(closes)],
    {
      cwd: `${import.meta.dir}/../..`,
      env: { ...process.env, ABSOLUTE_RUNTIME_LOG: 'driver=trace' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const [code, output, log] = await within(
    'a host',
    Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]),
  );
  if (code !== 0) throw new Error(log);
  const number = (word: string) => Number(output.match(new RegExp(`^${word} (\\d+)$`, 'm'))?.[1]);
  const looksIn = (text = '') => text.split('LookForConnections').length - 1;
  return {
    looks: looksIn(log),
    looksAfterExit: looksIn(log.split('Emit(Exit').at(-1)),
    running: number('running'),
    lastedMs: number('lasted'),
    cpuMs: number('cpu'),
  };
}

test('once in a sweep while there is a tenant, however many there are', async () => {
  const one = await run('connections');
  const many = await run('connections', { tenants: 200 });
  for (const { looks, lastedMs, cpuMs } of [one, many]) {
    // One more than the sweeps: the tenant may be about to be stopped just before the next one.
    expect(looks).toBeWithin(1, lastedMs / 200 + 2);
    expect(cpuMs).toBeLessThan(500);
  }
  expect([one.running, many.running]).toEqual([1, 200]);
}, 20_000);

test('never without idle: "connections"', async () => {
  expect((await run('untouched', { runMs: 900 })).looks).toBe(0);
});

test('no longer when no tenant is left', async () => {
  const { looks, looksAfterExit, running } = await run('connections', {
    runMs: 2_500,
    closes: true,
  });
  expect(running).toBe(0);
  expect(looks).toBeGreaterThan(1);
  // The sweep that was due next may still come.
  expect(looksAfterExit).toBeWithin(0, 2);
}, 20_000);
