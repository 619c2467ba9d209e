// That a tenant ran out of its memory is told wherever a person or a program looks.
import { expect, test } from 'bun:test';
import { createRuntime, RuntimeExitedBeforeReadyError } from '@absolutejs/runtime';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import {
  addConsumer,
  canLimitTrees,
  createPool,
  Recorder,
  Tenants,
  use,
} from '../support/processes/index.ts';
import { Spans } from '../support/surface/spans.ts';

const MIB = 1 << 20;
const EATER = `const held = []; for (;;) held.push(new Uint8Array(${16 * MIB}).fill(1));`;

test.skipIf(!canLimitTrees)('in the event, the last exit, the span and the counter', async () => {
  await using tenants = addConsumer(addConsumer(new Tenants(), 'a'), 'b');
  const [collector, events, spans] = [createRuntimeCollector(), new Recorder(), new Spans()];
  await using runtime = collector.attach(createRuntime, {
    source: tenants.source,
    // Without swap: with it there would be room for more.
    limits: { memoryBytes: 192 * MIB, swapBytes: 1 },
    tracerProvider: spans.tracerProvider,
    ...events.callbacks,
  });
  const [a, b] = await Promise.all([runtime.ensure('a'), runtime.ensure('b')]);
  await use(a, 'memory', 300 * MIB).catch(() => {});
  const exit = await events.exit('a');
  expect(exit).toMatchObject({ reason: 'crashed', exitCode: null, limit: 'memory' });
  const status = runtime.inspect('a')!;
  expect(status.lastExit).toMatchObject({ reason: 'crashed', limit: 'memory' });
  expect([status.limits, status.isolation]).toEqual([{}, null]);
  expect(spans.the('a').attributes).toMatchObject({ 'abs.runtime.limit': 'memory' });
  // An end of another kind says nothing of it.
  process.kill(b.pid, 'SIGKILL');
  const other = await events.exit('b');
  expect(other).not.toHaveProperty('limit');
  expect(runtime.inspect('b')!.lastExit).not.toHaveProperty('limit');
  expect(spans.the('b').attributes).not.toHaveProperty(['abs.runtime.limit']);
  const exposed = collector.expose().body.split('\n');
  const lines = exposed.filter((line) => line.includes('crashed'));
  expect(lines).toEqual([
    'absolute_runtime_exits_total{reason="crashed"} 1',
    'absolute_runtime_exits_total{reason="crashed",limit="memory"} 1',
  ]);
});

test.skipIf(!canLimitTrees)(
  'in the error of a start, and in that of the back-off that follows',
  async () => {
    await using pool = createPool({ limits: () => ({ memoryBytes: 128 * MIB, swapBytes: 1 }) });
    pool.tenants.add('eater', { 'server.ts': EATER });
    const error = await pool.runtime.ensure('eater').catch((error) => error);
    expect(error).toBeInstanceOf(RuntimeExitedBeforeReadyError);
    expect(error).toMatchObject({
      code: 'ERR_RUNTIME_EXITED_EARLY',
      limit: 'memory',
      exitCode: null,
    });
    const text = 'Runtime process for "eater" ran out of its 128 MiB of memory before it was ready';
    expect(error.message).toStartWith(text);
    const next = await pool.runtime.ensure('eater').catch((error) => error);
    expect(next.message).toContain(`Last error: ${text}`);
    expect(pool.runtime.inspect('eater')!.lastError).toStartWith(text);
    await pool.dispose();
  },
);
