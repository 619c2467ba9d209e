import { afterEach, beforeEach, expect, test } from 'bun:test';
import type { RuntimeOptions } from '@absolutejs/runtime';
import { answerOf, createPool, createSavingPool, type Pool } from '../support/processes/index.ts';
import { OK, Spans } from '../support/surface/spans.ts';

const SERVES_ENVIRONMENT = `
Bun.serve({ port: Number(process.env.PORT), fetch: () => Response.json(process.env) });`;

const OF_THE_HOST = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const NAMES = ['TRACEPARENT', 'traceparent', 'TRACESTATE', 'tracestate'];
const before = NAMES.map((name) => [name, process.env[name]] as const);

beforeEach(() => {
  Object.assign(process.env, {
    TRACEPARENT: OF_THE_HOST,
    traceparent: OF_THE_HOST,
    TRACESTATE: 'host=1',
  });
});
afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

async function environmentOf(pool: Pool, key = 'app'): Promise<Record<string, string | undefined>> {
  pool.tenants.add(key, { 'server.ts': SERVES_ENVIRONMENT });
  return JSON.parse(await answerOf(await pool.runtime.ensure(key)));
}

const PATH = process.env.PATH ?? '';
const ENVIRONMENTS: [string, RuntimeOptions['env']][] = [
  ['the default one', undefined],
  ['a record', { PATH, MINE: '1' }],
  ['a record with one of its own', { PATH, TRACEPARENT: OF_THE_HOST, traceparent: OF_THE_HOST }],
  ['a function', (key) => ({ PATH, TENANT: key })],
  ['"inherit"', 'inherit'],
];

for (const [name, env] of ENVIRONMENTS) {
  test(`${name}: has the traceparent of its own start`, async () => {
    const spans = new Spans();
    await using pool = createPool({ env, tracerProvider: spans.tracerProvider });
    const found = await environmentOf(pool);
    const { traceparent } = spans.the('app');
    expect([found.TRACEPARENT, found.traceparent]).toEqual([traceparent, traceparent]);
    await pool.runtime.restart('app');
    const [, second] = spans.of('app');
    expect((await environmentOf(pool)).TRACEPARENT).toBe(second!.traceparent);
    await pool.dispose();
    expect(spans.problems()).toEqual([]);
  });
}

test('the host’s own traceparent is not passed on by default', async () => {
  await using pool = createPool();
  const found = await environmentOf(pool);
  expect(NAMES.filter((name) => found[name] !== undefined)).toEqual([]);
  expect(JSON.stringify(found)).not.toContain(OF_THE_HOST);
  await pool.dispose();
});

test('with "inherit" and no tracer provider the traceparent is the host\'s', async () => {
  await using pool = createPool({ env: 'inherit' });
  expect((await environmentOf(pool)).TRACEPARENT).toBe(OF_THE_HOST);
  await pool.dispose();
});

test('the span of a real tenant, from start to exit', async () => {
  const spans = new Spans();
  await using pool = createPool({ tracerProvider: spans.tracerProvider });
  pool.tenants.add('app');
  const { pid, port } = await pool.runtime.ensure('app');
  process.kill(pid, 'SIGKILL');
  await pool.events.exit('app');
  const [ready] = pool.events.of('ready');
  const span = spans.the('app');
  expect(span.attributes).toEqual({
    'abs.runtime.key': 'app',
    'abs.runtime.pid': pid,
    'abs.runtime.port': port,
    'abs.runtime.readiness_ms': ready!.durationMs,
    'abs.runtime.exit_reason': 'crashed',
  });
  expect(spans.problems()).toEqual([]);
  await pool.dispose();
});

test('a tenant that is saved and restored has two spans, both with status OK', async () => {
  const spans = new Spans();
  await using pool = createSavingPool({ tracerProvider: spans.tracerProvider });
  pool.add('a');
  await pool.saved('a');
  const tenant = await pool.runtime.ensure('a');
  const [saved, back] = spans.of('a');
  expect(saved!.attributes['abs.runtime.exit_reason']).toBe('checkpointed');
  expect(saved!.status).toEqual({ code: OK });
  const [restored] = pool.events.of('restored');
  expect(back!.attributes).toEqual({
    'abs.runtime.key': 'a',
    'abs.runtime.pid': tenant.pid,
    'abs.runtime.port': tenant.port,
    'abs.runtime.readiness_ms': restored!.durationMs,
  });
  await pool.dispose();
  expect(back!.attributes['abs.runtime.exit_reason']).toBe('disposed');
  expect(spans.all).toHaveLength(2);
  expect(spans.problems()).toEqual([]);
});

test('a restore that fails and the cold start after it have one span', async () => {
  const spans = new Spans();
  await using pool = createSavingPool({ tracerProvider: spans.tracerProvider });
  pool.add('a');
  await pool.saved('a');
  pool.snapshots.instead.restore = async () => null;
  const { pid } = await pool.runtime.ensure('a');
  expect(spans.of('a')).toHaveLength(2);
  expect(spans.of('a')[1]!.attributes['abs.runtime.pid']).toBe(pid);
  await pool.dispose();
  expect(spans.problems()).toEqual([]);
});
