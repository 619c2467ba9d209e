// A traced process cannot be reaped before its tracer has waited for it or has ended. A tracer
// that never waits must delay neither the stop of the tenant nor the end of the host.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPool, SERVER, until } from '../support/processes/index.ts';

/**
 * Traces all threads of the given process, as debuggers do, or its first thread alone. Prints that
 * it does, and never waits for them.
 */
const TRACER = `
import { dlopen } from 'bun:ffi';
import { readdirSync } from 'node:fs';
const PTRACE_SEIZE = 0x4206;
const ptrace = { args: ['i64', 'i64', 'i64', 'i64'], returns: 'i64' } as const;
const libc = dlopen('libc.so.6', { ptrace });
const [pid, isFirstAlone] = process.argv.slice(2);
for (const thread of isFirstAlone ? [pid] : readdirSync('/proc/' + pid + '/task')) {
  const answer = Number(libc.symbols.ptrace(PTRACE_SEIZE, Number(thread), 0, 0));
  if (answer !== 0) throw new Error('cannot trace ' + thread);
}
console.log('traces');
setInterval(() => {}, 100_000);
`;

const TRACED_BY_ITS_CHILD = `
const child = Bun.spawn(['bun', 'tracer.ts', String(process.pid)], { stdout: 'pipe' });
await child.stdout.getReader().read();
${SERVER}
`;

test('a tenant traced by a process of its own tree can be stopped', async () => {
  await using pool = createPool({ command: ['bun', 'server.ts'], stopTimeoutMs: 300 });
  pool.tenants.add('app', { 'server.ts': TRACED_BY_ITS_CHILD, 'tracer.ts': TRACER });
  await pool.runtime.ensure('app');
  await pool.runtime.kill('app');
  expect(pool.events.of('exit')).toMatchObject([{ reason: 'killed' }]);
  await pool.dispose();
});

/** A process outside the tree that traces it; ended after the test. */
async function tracerOf(program: string, pid: number, ...more: 'first thread alone'[]) {
  const tracer = spawn('bun', [program, `${pid}`, ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(tracer.stdout, 'data');
  return {
    async [Symbol.asyncDispose]() {
      tracer.kill('SIGKILL');
      await once(tracer, 'exit');
    },
  };
}

test('a tenant traced by a process outside its tree can be stopped', async () => {
  await using pool = createPool({ command: ['bun', 'server.ts'], stopTimeoutMs: 300 });
  pool.tenants.add('app', { 'tracer.ts': TRACER });
  const { pid } = await pool.runtime.ensure('app');
  {
    await using _ = await tracerOf(`${pool.tenants.root}/app/tracer.ts`, pid);
    await pool.runtime.kill('app');
    expect(pool.events.of('exit')).toMatchObject([{ pid, exitCode: null, reason: 'killed' }]);
    await pool.runtime.ensure('app');
    await pool.runtime.dispose();
  }
  await pool.dispose();
});

// (If all threads are traced, its end is not reported before it is stopped.)
test('the end of a tenant whose first thread is traced from outside is seen', async () => {
  await using pool = createPool({ command: ['bun', 'server.ts'], stopTimeoutMs: 300 });
  pool.tenants.add('app', { 'tracer.ts': TRACER });
  const { pid } = await pool.runtime.ensure('app');
  {
    await using _ = await tracerOf(`${pool.tenants.root}/app/tracer.ts`, pid, 'first thread alone');
    process.kill(pid, 'SIGKILL');
    const exit = await until('it has ended', () => pool.events.of('exit')[0]);
    expect(exit).toMatchObject({ pid, exitCode: null, reason: 'crashed' });
    expect((await pool.runtime.ensure('app')).pid).not.toBe(pid);
    await pool.runtime.dispose();
  }
  await pool.dispose();
});
