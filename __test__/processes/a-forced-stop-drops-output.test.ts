// A forced stop does not wait for a slow onLog: the lines that are left are dropped, and a last
// line says how many.
import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createPool, Recorder, within } from '../support/processes/index.ts';

const LINES = 20_000;
const WRITES_FIRST = `yes '' | head -n ${LINES}; exec bun server.ts`;
const FLOODS = 8;

function busy(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

/** A pool with a slow onLog. */
function createSlowPool(lineMs: number, stopTimeoutMs: number) {
  const recorded = new Recorder();
  const pool = createPool({
    command: ['sh', 'start.sh'],
    stopTimeoutMs,
    ...recorded.callbacks,
    onLog(event) {
      recorded.callbacks.onLog(event);
      busy(lineMs);
    },
  });
  return { pool, recorded };
}

const droppedIn = (line: string | undefined) =>
  Number(/^\[… (\d+) lines? dropped …\]$/.exec(line ?? '')?.[1]);

test('the last line before the exit says how many lines were dropped', async () => {
  const { pool, recorded } = createSlowPool(1, 0);
  await using _ = pool;
  pool.tenants.add('app', { 'start.sh': WRITES_FIRST });
  await pool.runtime.ensure('app');
  await within('kill', pool.runtime.kill('app'));
  const [line, ...others] = recorded.lines('app', 'stderr');
  expect(others).toEqual([]);
  expect(recorded.lines('app', 'stdout').length + droppedIn(line)).toBe(LINES);
  recorded.assertOrder();
});

test('a stop that was not forced drops no lines', async () => {
  const { pool, recorded } = createSlowPool(0.05, 60_000);
  await using _ = pool;
  pool.tenants.add('app', { 'start.sh': WRITES_FIRST });
  await pool.runtime.ensure('app');
  await within('kill', pool.runtime.kill('app'));
  expect(recorded.lines('app', 'stdout')).toHaveLength(LINES);
  expect(recorded.lines('app', 'stderr')).toEqual([]);
});

test('no line of a tenant that crashes is dropped, however slow onLog is', async () => {
  const lines = 1_500;
  const { pool, recorded } = createSlowPool(1, 100);
  await using _ = pool;
  const start = `trap "yes '' | head -n ${lines}; kill -KILL $$" USR2; bun server.ts & while :; do wait; done`;
  pool.tenants.add('app', { 'start.sh': start });
  const { pid } = await pool.runtime.ensure('app');
  process.kill(pid, 'SIGUSR2');
  const { reason, signal } = await recorded.exit('app');
  expect({ reason, signal }).toEqual({ reason: 'crashed', signal: 'SIGKILL' });
  expect(recorded.lines('app', 'stdout')).toHaveLength(lines);
  expect(recorded.lines('app', 'stderr')).toEqual([]);
});

test('time in which the host does not call onLog does not count', async () => {
  const { pool, recorded } = createSlowPool(0, 0);
  await using _ = pool;
  const writes = `yes '' | head -n ${LINES}; touch written`;
  const start = `trap "${writes}" USR2; bun server.ts & while :; do wait; done`;
  pool.tenants.add('app', { 'start.sh': start });
  const { pid } = await pool.runtime.ensure('app');
  process.kill(pid, 'SIGUSR2');
  // The host does nothing else until all is written.
  while (!existsSync(join(pool.tenants.root, 'app', 'written'))) busy(1);
  const killed = pool.runtime.kill('app');
  busy(1_000);
  await within('kill', killed);
  expect(recorded.lines('app', 'stderr')).toEqual([]);
  expect(recorded.lines('app', 'stdout')).toHaveLength(LINES);
});

test('dispose of tenants that write empty lines without end resolves', async () => {
  const { pool, recorded } = createSlowPool(0.02, 100);
  await using _ = pool;
  const keys = Array.from({ length: FLOODS }, (_, index) => `flood-${index}`);
  for (const key of keys) pool.tenants.add(key, { 'start.sh': "bun server.ts & exec yes ''" });
  await Promise.all(keys.map((key) => pool.runtime.ensure(key)));
  await within('dispose', pool.runtime.dispose());
  for (const key of keys)
    expect(droppedIn(recorded.lines(key, 'stderr').at(-1))).toBeGreaterThan(10_000);
  expect(recorded.of('exit')).toHaveLength(FLOODS);
  recorded.assertOrder();
});
