// A stop that was forced does not wait for an onLog that takes its time: what is left is dropped, and a last line counts it.
import { expect, test } from 'bun:test';
import { createPool, Recorder, within } from '../support/processes/index.ts';

const LINES = 20_000;
const WRITES_FIRST = `yes '' | head -n ${LINES}; exec bun server.ts`;
const FLOODS = 8;

function busy(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

/** A pool whose onLog takes its time. */
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

test('what is dropped is counted, and said in the last line before the exit', async () => {
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

test('nothing is dropped of a stop that was not forced', async () => {
  const { pool, recorded } = createSlowPool(0.05, 60_000);
  await using _ = pool;
  pool.tenants.add('app', { 'start.sh': WRITES_FIRST });
  await pool.runtime.ensure('app');
  await within('kill', pool.runtime.kill('app'));
  expect(recorded.lines('app', 'stdout')).toHaveLength(LINES);
  expect(recorded.lines('app', 'stderr')).toEqual([]);
});

test('nothing is dropped of a tenant that crashes, however long onLog takes', async () => {
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

test('time in which the host does something else does not count', async () => {
  const { pool, recorded } = createSlowPool(0, 0);
  await using _ = pool;
  const start = `trap "yes '' | head -n ${LINES}" USR2; bun server.ts & while :; do wait; done`;
  pool.tenants.add('app', { 'start.sh': start });
  const { pid } = await pool.runtime.ensure('app');
  process.kill(pid, 'SIGUSR2');
  busy(500);
  const killed = pool.runtime.kill('app');
  busy(1_000);
  await within('kill', killed);
  expect(recorded.lines('app', 'stderr')).toEqual([]);
  expect(recorded.lines('app', 'stdout')).toHaveLength(LINES);
});

test('a dispose of tenants that flood it with empty lines', async () => {
  const { pool, recorded } = createSlowPool(0.02, 100);
  await using _ = pool;
  const keys = Array.from({ length: FLOODS }, (_, index) => `flood-${index}`);
  for (const key of keys) pool.tenants.add(key, { 'start.sh': "bun server.ts & exec yes ''" });
  await Promise.all(keys.map((key) => pool.runtime.ensure(key)));
  await within('dispose', pool.runtime.dispose());
  for (const key of keys) expect(droppedIn(recorded.lines(key, 'stderr').at(-1))).toBeGreaterThan(10_000);
  expect(recorded.of('exit')).toHaveLength(FLOODS);
  recorded.assertOrder();
});
