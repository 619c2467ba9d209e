// `tracerProvider`: one span for each process, ended exactly once whatever becomes of it.
import { expect, test } from 'bun:test';
import type { ExitReason, RuntimeOptions, TracerProvider } from '@absolutejs/runtime';
import { type Bench, manualReadiness, never, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { ERROR, OK, Spans } from '../support/surface/spans.ts';
import { aFewTurns, rejectionOf, within } from '../support/surface/wait.ts';

const backoff = { baseMs: 0 };

function traced(options: Partial<RuntimeOptions> = {}) {
  const spans = new Spans();
  const bench = setUp({ tracerProvider: spans.tracerProvider, backoff, ...options });
  return { spans, bench };
}

test('a span from the start of a process to its exit, with what is known of it', async () => {
  const { spans, bench } = traced();
  await using _ = bench;
  const tenant = await bench.runtime.ensure('org/a');
  const span = spans.the('org/a');
  expect(span.name).toBe('runtime.spawn');
  const [ready] = bench.events.all('ready');
  const known = {
    'abs.runtime.key': 'org/a',
    'abs.runtime.pid': tenant.pid,
    'abs.runtime.port': tenant.port,
    'abs.runtime.readiness_ms': ready!.durationMs,
  };
  expect(span.attributes).toEqual(known);
  expect([span.ends, span.status]).toEqual([0, undefined]);
  bench.fleet.the('org/a').exit(7);
  await bench.events.seen('exit');
  expect(span.attributes).toEqual({
    ...known,
    'abs.runtime.exit_reason': 'crashed',
    'abs.runtime.exit_code': 7,
  });
  expect(spans.problems()).toEqual([]);
  expect(spans.tracers).toEqual(['@absolutejs/runtime']);
});

test('readiness_ms is the durationMs of the ready event, and port the one really used', async () => {
  const { readiness, answer } = manualReadiness();
  const { spans, bench } = traced({ readiness });
  await using _ = bench;
  bench.fleet.prepare = (process) => void (process.port = 4321);
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn');
  await Bun.sleep(30);
  expect(spans.the('a').attributes['abs.runtime.readiness_ms']).toBeUndefined();
  answer('a', true);
  await pending;
  const [ready] = bench.events.all('ready');
  expect(ready!.durationMs).toBeGreaterThanOrEqual(29);
  expect(spans.the('a').attributes['abs.runtime.readiness_ms']).toBe(ready!.durationMs);
  expect(spans.the('a').attributes['abs.runtime.port']).toBe(4321);
});

type Ending = {
  reason: ExitReason;
  code: number;
  exitCode?: number;
  end: (bench: Bench) => unknown;
};

const ENDINGS: Ending[] = [
  { reason: 'crashed', code: ERROR, exitCode: 3, end: ({ fleet }) => fleet.the('a').exit(3) },
  { reason: 'crashed', code: ERROR, end: ({ fleet }) => fleet.the('a').exit(null) },
  { reason: 'exited-clean', code: OK, exitCode: 0, end: ({ fleet }) => fleet.the('a').exit(0) },
  { reason: 'killed', code: ERROR, end: ({ runtime }) => runtime.kill('a') },
  { reason: 'lru-evicted', code: OK, end: ({ runtime }) => runtime.ensure('b') },
  { reason: 'restarted', code: OK, end: ({ runtime }) => runtime.restart('a') },
  { reason: 'disposed', code: OK, end: ({ runtime }) => runtime.dispose() },
];

for (const { reason, code, exitCode, end } of ENDINGS) {
  test(`${reason} with ${exitCode ?? 'no code'}: the status is ${code === OK ? 'OK' : 'ERROR'}`, async () => {
    const { spans, bench } = traced({ maxConcurrent: 1 });
    await using _ = bench;
    await bench.runtime.ensure('a');
    const span = spans.the('a');
    await Promise.all([end(bench), bench.events.seen('exit', 'a')]);
    expect(span.status?.code).toBe(code);
    expect(span.attributes['abs.runtime.exit_reason']).toBe(reason);
    expect(span.attributes['abs.runtime.exit_code']).toBe(exitCode as number);
    if (code === ERROR) expect(span.status?.message).toBe(reason);
    await bench.runtime.dispose();
    expect(spans.problems()).toEqual([]);
  });
}

test('idle-killed: the status is OK', async () => {
  const { spans, bench } = traced({ idleAfterMs: 10, sweepIntervalMs: 5 });
  await using _ = bench;
  await bench.runtime.ensure('a');
  await bench.events.seen('exit');
  expect(spans.the('a').status).toEqual({ code: OK });
  expect(spans.the('a').attributes['abs.runtime.exit_reason']).toBe('idle-killed');
});

test('not ready: ERROR, readiness-timeout, and no readiness_ms', async () => {
  const { spans, bench } = traced({ readiness: async () => false });
  await using _ = bench;
  await rejectionOf(bench.runtime.ensure('a'));
  const span = spans.the('a');
  expect(span.status).toEqual({ code: ERROR, message: 'readiness-timeout' });
  expect(span.attributes['abs.runtime.exit_reason']).toBe('readiness-timeout');
  expect(Object.keys(span.attributes)).not.toContain('abs.runtime.readiness_ms');
  expect(spans.problems()).toEqual([]);
});

test('ended before it was ready: the span of a crash', async () => {
  const { spans, bench } = traced({ readiness: never });
  await using _ = bench;
  const pending = rejectionOf(bench.runtime.ensure('a'));
  await bench.events.seen('spawn');
  bench.fleet.the('a').exit(1);
  await pending;
  expect(spans.the('a').attributes).toMatchObject({
    'abs.runtime.exit_reason': 'crashed',
    'abs.runtime.exit_code': 1,
  });
  expect(spans.problems()).toEqual([]);
});

const FAILING_STARTS: [string, Partial<RuntimeOptions>][] = [
  [
    'throws',
    {
      spawn: () => {
        throw new Error('no');
      },
    },
  ],
  ['rejects', { spawn: () => Promise.reject(new Error('no')) }],
  ['returns no process', { spawn: (async () => undefined) as never }],
];
for (const [name, options] of FAILING_STARTS) {
  test(`a spawn that ${name}: a span with ERROR, no pid and no exit, ended once`, async () => {
    const { spans, bench } = traced(options);
    await using _ = bench;
    await rejectionOf(bench.runtime.ensure('a'));
    await aFewTurns();
    const span = spans.the('a');
    expect(span.status?.code).toBe(ERROR);
    expect(span.attributes).toEqual({ 'abs.runtime.key': 'a' });
    expect(spans.problems()).toEqual([]);
  });
}

test('a start whose env function throws has a span with ERROR, too', async () => {
  const error = new Error('no secrets');
  const { spans, bench } = traced({
    env: () => {
      throw error;
    },
  });
  await using _ = bench;
  expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(error);
  await aFewTurns();
  expect(spans.the('a').status?.code).toBe(ERROR);
  expect(spans.problems()).toEqual([]);
});

test('each start has a span of its own, each restart too; those who join a start have none', async () => {
  const { spans, bench } = traced();
  await using _ = bench;
  await Promise.all([
    bench.runtime.ensure('a'),
    bench.runtime.ensure('a'),
    bench.runtime.ensure('b'),
  ]);
  await bench.runtime.restart('a');
  expect(spans.all.map(({ key }) => key)).toEqual(['a', 'b', 'a']);
  const ids = new Set(spans.all.map(({ context }) => context.spanId));
  expect(ids.size).toBe(3);
  await bench.runtime.dispose();
  expect(spans.problems()).toEqual([]);
});

test('a start that is cancelled before its process leaves no open span', async () => {
  const { spans, bench } = traced({ spawnConcurrency: 1, readiness: never });
  await using _ = bench;
  const first = rejectionOf(bench.runtime.ensure('first'));
  await bench.events.seen('spawn', 'first');
  const queued = rejectionOf(bench.runtime.ensure('queued'));
  await bench.runtime.kill('queued');
  await queued;
  const sameTurn = rejectionOf(bench.runtime.ensure('turn'));
  await bench.runtime.kill('turn');
  await sameTurn;
  await bench.runtime.dispose();
  await first;
  expect(spans.of('queued')).toEqual([]);
  expect(spans.problems()).toEqual([]);
});

for (const how of ['kill', 'dispose', 'abort'] as const) {
  test(`${how} while spawn is still busy: one end, with ERROR or by plan`, async () => {
    const busy = Promise.withResolvers<void>();
    const { spans, bench } = traced();
    await using _ = bench;
    bench.fleet.prepare = () => busy.promise;
    const caller = new AbortController();
    const pending = rejectionOf(bench.runtime.ensure('a', { signal: caller.signal }));
    await bench.fleet.called('a');
    const stopped = how === 'abort' ? caller.abort() : bench.runtime[how]('a');
    busy.resolve();
    await Promise.all([stopped, pending]);
    await bench.events.seen('exit', 'a');
    const span = spans.the('a');
    const reason = how === 'dispose' ? 'disposed' : 'killed';
    expect(span.attributes['abs.runtime.exit_reason']).toBe(reason);
    expect(span.attributes['abs.runtime.pid']).toBe(bench.fleet.the('a').pid);
    expect(span.status?.code).toBe(how === 'dispose' ? OK : ERROR);
    expect(spans.problems()).toEqual([]);
  });
}

test('the span of a process whose exited settles more than once is ended once', async () => {
  const { spans, bench } = traced();
  await using _ = bench;
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => {
    process.exit(0);
    throw new Error('it was gone already');
  };
  await bench.runtime.kill('a').catch(() => {});
  process.exit(1);
  await bench.runtime.dispose();
  expect(bench.events.all('exit')).toHaveLength(1);
  expect(spans.problems()).toEqual([]);
});

test('a process that cannot be stopped keeps its span until it ends', async () => {
  const { spans, bench } = traced({ stopTimeoutMs: 10 });
  await using _ = bench;
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = ignoresKill;
  expect((await rejectionOf(bench.runtime.dispose())).code).toBe('ERR_RUNTIME_STOP_REFUSED');
  expect(spans.the('a').ends).toBe(0);
  process.exit(0);
  await bench.events.seen('exit');
  expect(spans.problems()).toEqual([]);
  await bench.runtime.dispose();
  expect(spans.problems()).toEqual([]);
});

test('an adopted process has no span, since nothing was started', async () => {
  const { spans, bench } = traced();
  await using _ = bench;
  const { promise: exited, resolve: exit } = Promise.withResolvers<number>();
  const kill = () => exit(0);
  await bench.runtime.adopt('a', { pid: 2 ** 30, exited, kill, port: 4000 });
  await bench.runtime.dispose();
  expect(bench.events.all('exit')).toHaveLength(1);
  expect(spans.all).toEqual([]);
});

test('hundreds at once: each has one span, and none is left open', async () => {
  const { spans, bench } = traced({
    readiness: async ({ key }) => !key.endsWith('7'),
    maxConcurrent: 40,
  });
  await using _ = bench;
  const keys = Array.from({ length: 300 }, (_, index) => `t${index}`);
  const calls = keys.map((key) => bench.runtime.ensure(key).catch(() => {}));
  await within('all of them', Promise.all(calls));
  await bench.runtime.dispose();
  expect(spans.all.map(({ key }) => key as string).sort()).toEqual(keys.toSorted());
  expect(spans.problems()).toEqual([]);
});

const boom = () => {
  throw new Error('a tracer of bad quality');
};
const BROKEN: [string, TracerProvider][] = [
  ['getTracer throws', { getTracer: boom }],
  ['getTracer returns nothing', { getTracer: () => undefined as never }],
  ['startSpan throws', { getTracer: () => ({ startSpan: boom }) }],
  ['startSpan returns nothing', { getTracer: () => ({ startSpan: () => undefined as never }) }],
  ['startSpan returns a number', { getTracer: () => ({ startSpan: () => 5 as never }) }],
  ['the span is empty', { getTracer: () => ({ startSpan: () => ({}) as never }) }],
  [
    'every method of the span throws',
    {
      getTracer: () => ({
        startSpan: () => ({ setAttribute: boom, setStatus: boom, end: boom, spanContext: boom }),
      }),
    },
  ],
  [
    'every method of the span rejects',
    {
      getTracer: () => ({
        startSpan: () => {
          const reject = (() => Promise.reject(new Error('later'))) as never;
          return { setAttribute: reject, setStatus: reject, end: reject, spanContext: boom };
        },
      }),
    },
  ],
];
for (const [name, tracerProvider] of BROKEN) {
  test(`${name}: tenants start, run and end as without it`, async () => {
    const rejections: unknown[] = [];
    const note = (error: unknown): void => void rejections.push(error);
    process.on('unhandledRejection', note);
    try {
      await using bench = setUp({ tracerProvider, backoff });
      const tenant = await bench.runtime.ensure('a');
      expect(await bench.runtime.ensure('a')).toBe(tenant);
      await bench.runtime.restart('a');
      await bench.runtime.dispose();
      expect(bench.events.transitions.map(({ type }) => type)).toEqual([
        ...(['spawn', 'ready', 'exit'] as const),
        ...(['spawn', 'ready', 'exit'] as const),
      ]);
      expect(Object.keys(bench.fleet.the('a').args.env)).not.toContain('TRACEPARENT');
      await aFewTurns();
      expect(rejections).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
    }
  });
}

test('one method that throws does not keep the others from being called', async () => {
  const { spans, bench } = traced();
  await using _ = bench;
  spans.prepare = (span) => void ((span.setAttribute = boom), (span.setStatus = boom));
  await bench.runtime.ensure('a');
  await bench.runtime.dispose();
  expect(spans.problems()).toEqual([]);
});

const CONTEXTS: [string, object | undefined][] = [
  ['none', undefined],
  ['an empty one', {}],
  ['zeros', { traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 }],
  ['a trace id that is too short', { traceId: 'abc', spanId: '1'.repeat(16), traceFlags: 1 }],
  ['capitals', { traceId: 'A'.repeat(32), spanId: 'B'.repeat(16), traceFlags: 1 }],
  ['line breaks', { traceId: `${'a'.repeat(32)}\n`, spanId: 'b'.repeat(16), traceFlags: 1 }],
];
for (const [name, context] of CONTEXTS) {
  test(`a span context of ${name} is not passed on to the tenant`, async () => {
    const { spans, bench } = traced();
    await using _ = bench;
    spans.prepare = (span) => void (span.spanContext = () => context as never);
    await bench.runtime.ensure('a');
    const { env } = bench.fleet.the('a').args;
    expect(Object.keys(env).filter((variable) => /^traceparent$/i.test(variable))).toEqual([]);
  });
}

test.each([
  [0, '00'],
  [1, '01'],
  [255, 'ff'],
  [257, '01'],
])('trace flags %p are handed on as %p', async (traceFlags, shown) => {
  const { spans, bench } = traced();
  await using _ = bench;
  spans.prepare = (span) => void (span.context.traceFlags = traceFlags);
  await bench.runtime.ensure('a');
  const { traceId, spanId } = spans.the('a').context;
  const { env } = bench.fleet.the('a').args;
  expect(env.TRACEPARENT).toBe(`00-${traceId}-${spanId}-${shown}`);
  expect(env.traceparent).toBe(env.TRACEPARENT);
});

test('a spawn of your own gets it in env, each start its own', async () => {
  const { spans, bench } = traced({ env: () => ({ PATH: '/bin', TRACEPARENT: 'of the user' }) });
  await using _ = bench;
  await bench.runtime.ensure('a');
  await bench.runtime.restart('a');
  const handed = bench.fleet.of('a').map(({ args }) => args.env.TRACEPARENT);
  expect(handed).toEqual(spans.of('a').map(({ traceparent }) => traceparent));
  expect(new Set(handed).size).toBe(2);
});

test('without a tracer provider the tenant gets no traceparent', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const { env } = bench.fleet.the('a').args;
  expect(Object.keys(env).filter((variable) => /trace/i.test(variable))).toEqual([]);
});
