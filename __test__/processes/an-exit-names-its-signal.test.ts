// The signal that ended a tenant, if the runtime did not send it, is in its exit event, in the
// error of a failed start, and in `inspect`.
import { expect, test } from 'bun:test';
import { createPool } from '../support/processes/index.ts';

/** Prints a line and ends by the signal in SIG: at once, or when /die is requested. */
const SERVER = `
const die = () => (console.log('dying'), setTimeout(() => process.kill(process.pid, process.env.SIG), 20));
if (process.env.WHEN === 'start') die();
else Bun.serve({ port: process.env.PORT, hostname: '127.0.0.1', fetch: ({ url }) => {
  if (url.endsWith('/die')) die();
  return new Response('ok', { headers: { connection: 'close' } });
} });`;

const FILES = {
  'server.ts': SERVER,
  'package.json': JSON.stringify({ scripts: { start: 'bun server.ts' } }),
};

for (const [how, command] of [
  ['the first process', ['bun', 'server.ts']],
  ['the server below bun run', ['bun', 'run', 'start']],
] as const) {
  test(`${how} ends by a signal of its own`, async () => {
    await using pool = createPool({
      command,
      env: (key) => ({ PATH: process.env.PATH!, SIG: key }),
    });
    for (const key of ['SIGSEGV', 'SIGABRT', 'SIGKILL', 'SIGTERM']) {
      pool.tenants.add(key, FILES);
      const { pid, port } = await pool.runtime.ensure(key);
      await fetch(`http://127.0.0.1:${port}/die`);
      const exit = await pool.events.exit(key);
      expect(exit).toEqual({
        type: 'exit',
        key,
        pid,
        exitCode: null,
        signal: key,
        reason: 'crashed',
      });
      const { state, starts, crashes, lastExit } = pool.runtime.inspect(key)!;
      expect({ state, starts, crashes }).toEqual({ state: 'stopped', starts: 1, crashes: 1 });
      expect(lastExit).toMatchObject({ exitCode: null, signal: key, reason: 'crashed' });
      expect(lastExit!.lines).toContain('dying');
    }
    await pool.dispose();
  });
}

test('the error of a start that a signal ended has the signal', async () => {
  await using pool = createPool({
    command: ['bun', 'server.ts'],
    env: { PATH: process.env.PATH!, SIG: 'SIGSEGV', WHEN: 'start' },
  });
  pool.tenants.add('a', FILES);
  const error = await pool.runtime.ensure('a').catch((error) => error);
  expect(error).toMatchObject({
    code: 'ERR_RUNTIME_EXITED_EARLY',
    exitCode: null,
    signal: 'SIGSEGV',
  });
  await pool.dispose();
});

test('the exit of a stopped tenant has no signal', async () => {
  await using pool = createPool({ command: ['bun', 'server.ts'] });
  pool.tenants.add('a', FILES);
  await pool.runtime.ensure('a');
  await pool.runtime.kill('a');
  expect(Object.keys(await pool.events.exit('a'))).toEqual([
    'type',
    'key',
    'pid',
    'exitCode',
    'reason',
  ]);
  expect(pool.runtime.inspect('a')!.lastExit!.signal).toBeNull();
  await pool.dispose();
});
