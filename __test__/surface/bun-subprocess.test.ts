import { expect, test } from 'bun:test';
import { RuntimeExitedBeforeReadyError, type SpawnFn } from '@absolutejs/runtime';
import { setUp } from '../support/surface/bench.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const SERVER = `
  Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, fetch: () => new Response(process.env.TENANT) });
`;

/** A `spawn` as users write it: plain `Bun.spawn`. */
const spawning =
  (program: string): SpawnFn =>
  async ({ env, key }) =>
    Bun.spawn([process.execPath, '-e', program], {
      env: { ...env, TENANT: key },
      stdio: ['ignore', 'ignore', 'ignore'],
    });

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('a Bun Subprocess is started, answers, and is killed', async () => {
  await using bench = setUp({ spawn: spawning(SERVER), readiness: undefined });
  const tenant = await bench.runtime.ensure('a');
  const response = await fetch(`http://127.0.0.1:${tenant.port}/`);
  expect(await response.text()).toBe('a');
  expect(isAlive(tenant.pid)).toBeTrue();
  expect(Object.keys(tenant)).toEqual(['key', 'port', 'pid', 'startedAt', 'lastTouchedAt']);

  await bench.runtime.kill('a');
  expect(isAlive(tenant.pid)).toBeFalse();
  const observed = 'metric observation a';
  expect(bench.events.story).toEqual(['spawn a', 'metric spawn a', 'ready a', observed, 'exit a']);
  expect(bench.events.all('exit')[0]).not.toHaveProperty('signal');
  expect(bench.events.all('exit')[0]!.reason).toBe('killed');
});

test('a subprocess that ends before it answers rejects ensure with its exit code', async () => {
  await using bench = setUp({ spawn: spawning('process.exit(3)'), readiness: undefined });
  const error = await rejectionOf(bench.runtime.ensure('a'));
  expect(error).toBeInstanceOf(RuntimeExitedBeforeReadyError);
  expect([error.key, error.exitCode]).toEqual(['a', 3]);
});

test('a subprocess that ignores SIGTERM is killed after stopTimeoutMs', async () => {
  const stubborn = `process.on('SIGTERM', () => {}); ${SERVER}`;
  await using bench = setUp({
    spawn: spawning(stubborn),
    readiness: undefined,
    stopTimeoutMs: 100,
  });
  const { pid } = await bench.runtime.ensure('a');
  const before = performance.now();
  await bench.runtime.kill('a');
  expect(performance.now() - before).toBeGreaterThan(97);
  expect(isAlive(pid)).toBeFalse();
});

test.each(['SIGTERM', 'SIGKILL', 'SIGSEGV'] as const)(
  'one that %s ends has no exit code',
  async (signal) => {
    await using bench = setUp({ spawn: spawning(SERVER), readiness: undefined });
    const { pid } = await bench.runtime.ensure('a');
    process.kill(pid, signal);
    expect(await bench.events.seen('exit', 'a')).toMatchObject({
      exitCode: null,
      reason: 'crashed',
    });
  },
);

test('the exit of a subprocess that ends by itself has its code', async () => {
  const program = `${SERVER} process.on('SIGUSR2', () => process.exit(5));`;
  await using bench = setUp({ spawn: spawning(program), readiness: undefined });
  const { pid } = await bench.runtime.ensure('a');
  process.kill(pid, 'SIGUSR2');
  expect(await bench.events.seen('exit', 'a')).toMatchObject({
    pid,
    exitCode: 5,
    reason: 'crashed',
  });
});

test('the exit of a subprocess that a signal ends names the signal', async () => {
  await using bench = setUp({ spawn: spawning(SERVER), readiness: undefined });
  const { pid } = await bench.runtime.ensure('a');
  process.kill(pid, 'SIGSEGV');
  expect(await bench.events.seen('exit', 'a')).toMatchObject({ exitCode: null, signal: 'SIGSEGV' });
});

for (const [how, end] of [
  ['is stopped', (bench) => bench.runtime.kill('a')],
  [
    'ends by itself',
    (bench) => (process.kill(bench.runtime.inspect('a')!.pid!, 'SIGKILL'), undefined),
  ],
] as [string, (bench: ReturnType<typeof setUp>) => Promise<void> | undefined][]) {
  test(`what one has used that ${how} is told before its exit, however short its life`, async () => {
    const busy = `while (performance.now() < 60_000 && process.cpuUsage().user < 100_000) for (let n = 0; n < 1e6; n++); ${SERVER}`;
    await using bench = setUp({
      spawn: spawning(busy),
      readiness: undefined,
      observeIntervalMs: 600_000,
    });
    const { pid } = await bench.runtime.ensure('a');
    expect(bench.runtime.inspect('a')!.cpuMs).toBeGreaterThan(50);
    await end(bench);
    await bench.events.seen('exit', 'a');
    expect(bench.events.story.slice(-2)).toEqual(['metric observation a', 'exit a']);
    const told = bench.events.metrics.filter((event) => event.type === 'observation');
    expect(told).toMatchObject([{ type: 'observation', key: 'a', pid }]);
    expect(told[0]!.cpuMs).toBeGreaterThan(50);
  });
}

test('list and inspect have figures from the first moment, also without onMetrics', async () => {
  await using bench = setUp({
    spawn: spawning(SERVER),
    readiness: undefined,
    onMetrics: undefined,
  });
  await bench.runtime.ensure('a');
  const [listed] = bench.runtime.list();
  expect(listed!.rssBytes).toBeGreaterThan(1 << 20);
  expect(listed!.cpuMs).toBeNumber();
});
