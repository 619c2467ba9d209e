// A process that is traced cannot be reaped before its tracer has waited for it, or is gone. One that never waits must hold up
// neither the stop of the tenant nor the end of the host.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPool, SERVER } from '../support/processes/index.ts';

/** Traces all threads of the process whose pid it is given, as debuggers do, says so, and never waits for them. */
const TRACER = `
import { dlopen } from 'bun:ffi';
import { readdirSync } from 'node:fs';
const PTRACE_SEIZE = 0x4206;
const ptrace = { args: ['i64', 'i64', 'i64', 'i64'], returns: 'i64' } as const;
const libc = dlopen('libc.so.6', { ptrace });
for (const thread of readdirSync('/proc/' + process.argv[2] + '/task')) {
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

test('by a process of its own', async () => {
  await using pool = createPool({ command: ['bun', 'server.ts'], stopTimeoutMs: 300 });
  pool.tenants.add('app', { 'server.ts': TRACED_BY_ITS_CHILD, 'tracer.ts': TRACER });
  await pool.runtime.ensure('app');
  await pool.runtime.kill('app');
  expect(pool.events.of('exit')).toMatchObject([{ reason: 'killed' }]);
  await pool.dispose();
});

test('by another process', async () => {
  await using pool = createPool({ command: ['bun', 'server.ts'], stopTimeoutMs: 300 });
  pool.tenants.add('app', { 'tracer.ts': TRACER });
  const { pid } = await pool.runtime.ensure('app');
  const program = [`${pool.tenants.root}/app/tracer.ts`, `${pid}`];
  const tracer = spawn('bun', program, { stdio: ['ignore', 'pipe', 'inherit'] });
  const hasEnded = once(tracer, 'exit');
  try {
    await once(tracer.stdout, 'data');
    await pool.runtime.kill('app');
    expect(pool.events.of('exit')).toMatchObject([{ reason: 'killed' }]);
    await pool.runtime.ensure('app');
    await pool.runtime.dispose();
  } finally {
    tracer.kill('SIGKILL');
    await hasEnded;
  }
  await pool.dispose();
});
