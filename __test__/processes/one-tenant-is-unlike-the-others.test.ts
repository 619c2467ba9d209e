// What `tenant` says of one tenant holds for its process, and for no other.
import { expect, test } from 'bun:test';
import { createPool, textOf, until } from '../support/processes/index.ts';

/** Answers with its argument and its plan. */
const SERVER = `
const asked = [];
Bun.serve({
  port: Number(process.env.PORT),
  fetch(request) {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/asked') return Response.json(asked);
    asked.push(pathname + search);
    return new Response([process.argv[2], process.env.PLAN].join(' '));
  },
});
`;

test('command, env and readinessPath', async () => {
  await using pool = createPool({
    env: { PATH: process.env.PATH, PLAN: 'free' },
    tenant: async (key) =>
      key === 'paid'
        ? {
            command: ['bun', 'server.ts', 'fast'],
            env: { PATH: process.env.PATH, PLAN: 'paid' },
            readinessPath: '/health?deep=1',
          }
        : {},
  });
  for (const key of ['paid', 'free'])
    pool.tenants.add(key, { start: 'bun server.ts slow', 'server.ts': SERVER });
  const [paid, free] = await Promise.all([
    pool.runtime.ensure('paid'),
    pool.runtime.ensure('free'),
  ]);
  expect(await textOf(paid, '/asked')).toBe('["/health?deep=1"]');
  expect(await textOf(free, '/asked')).toBe('["/"]');
  expect([await textOf(paid), await textOf(free)]).toEqual(['fast paid', 'slow free']);
  await pool.dispose();
});

test('readinessTimeoutMs, and the path that was asked for in the error', async () => {
  await using pool = createPool({
    tenant: (key) => (key === 'silent' ? { readinessTimeoutMs: 50, readinessPath: '/up' } : {}),
  });
  pool.tenants.add('silent', { start: 'sleep 1000' }).add('other');
  const other = pool.runtime.ensure('other');
  const error = await pool.runtime.ensure('silent').catch((error) => error);
  expect(error.code).toBe('ERR_RUNTIME_READINESS_TIMEOUT');
  expect(error.message).toStartWith('Tenant readiness timed out after 0.05s');
  expect(error.message).toContain('GET /up on its port');
  await other;
  await pool.dispose();
});

test('a command of its own needs no start script', async () => {
  await using pool = createPool({ tenant: () => ({ command: ['bun', 'server.ts'] }) });
  pool.tenants.write('bare/server.ts', SERVER);
  await pool.runtime.ensure('bare');
  await pool.dispose();
});

test('warm: the first call of a host, which waits for nothing', async () => {
  await using pool = createPool({ tenant: () => ({ warm: true }), backoff: { baseMs: 0 } });
  pool.tenants.add('org/app').add('other');
  pool.runtime.warm(['org/app', 'other', 'missing']);
  const ready = () => pool.events.of('ready').map(({ key }) => key);
  await until('both are ready', () => ready().length === 2);
  expect(ready().sort()).toEqual(['org/app', 'other']);
  const { lastError } = pool.runtime.inspect('missing')!;
  expect(lastError).toContain('does not exist');
  process.kill(pool.runtime.inspect('other')!.pid!, 'SIGKILL');
  await until('it is back', () => pool.events.of('ready', 'other').length === 2);
  await pool.dispose();
});
