import { expect, test } from 'bun:test';
import {
  createEgressGuard,
  createRuntime,
  RuntimeExitedBeforeReadyError,
} from '@absolutejs/runtime';
import { failureError, sizeText, type Failure } from '../../lib/errors.js';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { handedOver, ignoresKill } from '../support/surface/fleet.ts';
import { rejectionOf } from '../support/surface/wait.ts';

/** Causes an error of each code. */
const codes: Record<string, () => Promise<any>> = {
  ERR_RUNTIME_INVALID_OPTION: async () => {
    try {
      createRuntime({} as any);
    } catch (error) {
      return error;
    }
  },
  ERR_RUNTIME_INVALID_KEY: async () => {
    await using bench = setUp();
    return await rejectionOf(bench.runtime.ensure('..'));
  },
  ERR_RUNTIME_DISPOSED: async () => {
    const bench = setUp();
    await bench.runtime.dispose();
    return await rejectionOf(bench.runtime.ensure('a'));
  },
  ERR_RUNTIME_DRAINING: async () => {
    await using bench = setUp();
    bench.runtime.drain();
    return await rejectionOf(bench.runtime.ensure('a'));
  },
  ERR_RUNTIME_BACKOFF: async () => {
    await using bench = setUp({ readiness: async () => false });
    await rejectionOf(bench.runtime.ensure('a'));
    return await rejectionOf(bench.runtime.ensure('a'));
  },
  ERR_RUNTIME_MAX_FAILURES: async () => {
    await using bench = setUp({ readiness: async () => false, backoff: { maxFailures: 1 } });
    await rejectionOf(bench.runtime.ensure('a'));
    return await rejectionOf(bench.runtime.ensure('a'));
  },
  ERR_RUNTIME_SPAWN: async () => {
    await using bench = setUp({ spawn: (async () => null) as any });
    return await rejectionOf(bench.runtime.ensure('a'));
  },
  ERR_RUNTIME_READINESS_TIMEOUT: async () => {
    await using bench = setUp({ readiness: async () => false });
    return await rejectionOf(bench.runtime.ensure('a'));
  },
  ERR_RUNTIME_EXITED_EARLY: async () => {
    await using bench = setUp({ readiness: manualReadiness().readiness });
    const pending = bench.runtime.ensure('a');
    await bench.events.seen('spawn', 'a');
    bench.fleet.the('a').exit(1);
    return await rejectionOf(pending);
  },
  ERR_RUNTIME_STOP_TIMEOUT: async () => {
    await using bench = setUp({ stopTimeoutMs: 5 });
    await bench.runtime.ensure('a');
    bench.fleet.the('a').onKill = ignoresKill;
    return await rejectionOf(bench.runtime.kill('a'));
  },
  ERR_RUNTIME_ABORTED: async () => {
    await using bench = setUp();
    return await rejectionOf(bench.runtime.ensure('a', { signal: AbortSignal.abort() }));
  },
  ERR_RUNTIME_ALREADY_REGISTERED: async () => {
    await using bench = setUp();
    await bench.runtime.ensure('a');
    return await rejectionOf(bench.runtime.adopt('a', handedOver(), { port: 4000 }));
  },
  ERR_RUNTIME_STOP_REFUSED: async () => {
    await using bench = setUp();
    await bench.runtime.ensure('a');
    bench.fleet.the('a').onKill = () => Promise.reject(new Error('no'));
    return await rejectionOf(bench.runtime.dispose());
  },
  ERR_RUNTIME_PORT_TAKEN: async () => {
    // Another process listens on the tenant's port.
    const serve =
      "console.log(Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response() }).port)";
    using thief = killed(Bun.spawn([process.execPath, '-e', serve], { stdout: 'pipe' }));
    const { value } = await thief.stdout.getReader().read();
    const port = Number(new TextDecoder().decode(value));
    const spawn = async () => Object.assign(Bun.spawn(['sleep', '1000']), { port });
    await using bench = setUp({ spawn });
    return await rejectionOf(bench.runtime.ensure('a'));
  },
  ERR_RUNTIME_EGRESS_DENIED: async () =>
    rejectionOf(createEgressGuard().fetch('a', 'http://127.0.0.1/')),
  ERR_RUNTIME_EGRESS_FAILED: async () => rejectionOf(createEgressGuard().fetch('a', 'nowhere')),
};

const killed = <P extends { kill: () => void }>(process: P): P & Disposable =>
  Object.assign(process, { [Symbol.dispose]: () => process.kill() });

test.each(Object.entries(codes))('%s', async (code, provoke) => {
  const error = await provoke();
  expect(error).toBeInstanceOf(Error);
  expect(error.code).toBe(code);
  expect(error.message).not.toBe('');
  expect(error.stack).toContain(error.message.split('\n')[0]);
});

test('retryAfterMs and attempt are on back-off errors only', async () => {
  for (const [code, provoke] of Object.entries(codes)) {
    const error = await provoke();
    expect([code, 'retryAfterMs' in error]).toEqual([code, code === 'ERR_RUNTIME_BACKOFF']);
    expect([code, 'attempt' in error]).toEqual([code, code === 'ERR_RUNTIME_BACKOFF']);
  }
});

test('RuntimeExitedBeforeReadyError carries name, key, exitCode and code', async () => {
  const error = await codes.ERR_RUNTIME_EXITED_EARLY!();
  expect(error).toBeInstanceOf(RuntimeExitedBeforeReadyError);
  expect(error.name).toBe('RuntimeExitedBeforeReadyError');
  expect(error.key).toBe('a');
  expect(error.exitCode).toBe(1);
  expect(String(error)).toBe(
    'RuntimeExitedBeforeReadyError: Runtime process for "a" exited with code 1 before it was ready',
  );
});

test('each code has its fields, and no others', async () => {
  const fields: Record<string, string[]> = {
    ERR_RUNTIME_BACKOFF: ['attempt', 'retryAfterMs'],
    ERR_RUNTIME_MAX_FAILURES: ['maxFailures'],
    ERR_RUNTIME_EXITED_EARLY: ['exitCode', 'name'],
    ERR_RUNTIME_ABORTED: ['name'],
    ERR_RUNTIME_EGRESS_DENIED: ['address', 'name', 'reason', 'tenant', 'url'],
  };
  const typeErrors = [
    'ERR_RUNTIME_INVALID_OPTION',
    'ERR_RUNTIME_INVALID_KEY',
    'ERR_RUNTIME_EGRESS_FAILED',
  ];
  const aboutNoKey = ['ERR_RUNTIME_INVALID_OPTION', 'ERR_RUNTIME_STOP_REFUSED'];
  for (const [code, provoke] of Object.entries(codes)) {
    const error = await provoke();
    const key = aboutNoKey.includes(code) ? [] : ['key'];
    expect([code, Object.keys(error).sort()]).toEqual([
      code,
      ['code', ...key, ...(fields[code] ?? [])].sort(),
    ]);
    if (key.length > 0)
      expect([code, error.key]).toEqual([code, code.includes('INVALID') ? '..' : 'a']);
    const type = typeErrors.includes(code)
      ? TypeError
      : code.includes('REFUSED')
        ? AggregateError
        : Error;
    expect([code, error instanceof type]).toEqual([code, true]);
  }
});

/** One of each kind, but for what functions of the user's throw, which is passed on untouched. */
const FAILURES: { [K in Exclude<Failure['kind'], 'thrown'>]: Extract<Failure, { kind: K }> } = {
  notStarted: { kind: 'notStarted', reason: 'why' },
  unsupported: { kind: 'unsupported', reason: 'why' },
  exitedEarly: { kind: 'exitedEarly', exitCode: null, signal: null, outOfMemory: null },
  crashedSoon: {
    kind: 'crashedSoon',
    exitCode: null,
    signal: null,
    outOfMemory: null,
    uptimeMs: 1,
  },
  calledOff: { kind: 'calledOff' },
  readinessTimedOut: { kind: 'readinessTimedOut', found: 'why' },
  portTaken: { kind: 'portTaken', by: 'why' },
  noPort: { kind: 'noPort' },
  noBun: { kind: 'noBun', path: null },
  readinessDenied: { kind: 'readinessDenied' },
  stopTimedOut: { kind: 'stopTimedOut' },
};

// Some of them take a machine without ports, or without /proc, to be brought about.
test.each(Object.values(FAILURES))('a failure of kind $kind has the key', (failure) => {
  expect(failureError('a', failure, {})).toMatchObject({ key: 'a', code: expect.any(String) });
});

test('each failure makes its own error', async () => {
  await using bench = setUp({ readiness: async () => false, backoff: { baseMs: 0 } });
  const first = await rejectionOf(bench.runtime.ensure('a'));
  const second = await rejectionOf(bench.runtime.ensure('a'));
  expect(second).not.toBe(first);
});

test('errors of the user’s own are passed on untouched', async () => {
  const own = Object.freeze(new TypeError('mine'));
  await using bench = setUp({ spawn: () => Promise.reject(own) });
  expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(own);
  expect(own).not.toHaveProperty('code');
});

test('a number of bytes is told in the largest unit that it has one of', () => {
  const sizes = [1, 100, 1_024, 256 << 20, 1.5 * 2 ** 30].map(sizeText);
  expect(sizes).toEqual(['1 byte', '100 bytes', '1 KiB', '256 MiB', '1.5 GiB']);
});
