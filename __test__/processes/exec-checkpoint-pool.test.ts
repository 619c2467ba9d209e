// A pool whose idle tenants are saved and restored with two commands.
import { expect, test } from 'bun:test';
import type { Tenant } from '@absolutejs/runtime';
import { createPool, type Pool, textOf, until } from '../support/processes/index.ts';
import { Lab, sh } from '../support/processes/fake-criu.ts';

/** A server that counts its requests, and saves the number on request. */
const counting = `
import { renameSync, writeFileSync } from 'node:fs';
let count = Number(process.env.COUNT ?? 0);
process.on('SIGUSR2', () => {
  writeFileSync('memory.next', String(count));
  renameSync('memory.next', 'memory');
});
Bun.serve({
  port: Number(process.env.PORT),
  fetch: (request) => new Response(String(request.url.endsWith('/count') ? ++count : count)),
});
`;

const SAVE = `
  kill -USR2 "$1"
  until [ -e "/proc/$1/cwd/memory" ]; do kill -0 "$1"; sleep 0.01; done
  mv "/proc/$1/cwd/memory" "$2/memory"
  readlink "/proc/$1/cwd" > "$2/cwd"
  tr '\\0' '\\n' < "/proc/$1/environ" | sed -n 's/^PORT=//p' > "$2/port"`;

const RESTORE = `
  cd "$(cat "$1/cwd")"
  export COUNT="$(cat "$1/memory")" PORT="$(cat "$1/port")"
  setsid bun server.ts >/dev/null 2>&1 &
  echo RESTORED_PID=$!`;

const whenIdle = (lab: Lab, restore: string) => ({
  command: ['bun', 'server.ts'],
  idleAfterMs: 1_000,
  sweepIntervalMs: 50,
  checkpoint: {
    driver: lab.driver({
      checkpointCommand: sh(SAVE, '{pid}', '{dir}'),
      restoreCommand: sh(restore, '{dir}'),
    }),
  },
});

const exitOf = (pool: Pool, tenant: Tenant) =>
  until('the tenant is stopped', () =>
    pool.events.of('exit').find(({ pid }) => pid === tenant.pid),
  );

test('a restored tenant goes on where it was saved', async () => {
  using lab = new Lab();
  await using pool = createPool(whenIdle(lab, RESTORE));
  pool.tenants.add('app', { 'server.ts': counting });
  for (const times of [1, 2, 3]) {
    const tenant = await pool.runtime.ensure('app');
    expect(await textOf(tenant, '/count')).toBe(String(times));
    const exit = await exitOf(pool, tenant);
    expect(exit.reason).toBe('checkpointed');
  }
  expect(pool.events.of('restored').length).toBe(2);
  expect(pool.runtime.metrics().checkpoints).toMatchObject({
    checkpoints: 3,
    restores: 2,
    restoreFailures: 0,
  });
  expect(lab.errors).toEqual([]);
});

test('a restore that fails, or names a process that it did not start, is a cold start without the image', async () => {
  for (const restore of ['exit 1', 'echo RESTORED_PID=0', `echo RESTORED_PID=${process.ppid}`]) {
    using lab = new Lab();
    await using pool = createPool(whenIdle(lab, restore));
    pool.tenants.add('app', { 'server.ts': counting });
    const first = await pool.runtime.ensure('app');
    expect(await textOf(first, '/count')).toBe('1');
    await exitOf(pool, first);
    expect(await textOf(await pool.runtime.ensure('app'), '/count')).toBe('1');
    expect(pool.runtime.metrics().checkpoints).toMatchObject({
      checkpoints: 1,
      restores: 0,
      restoreFailures: 1,
    });
    await pool.dispose();
  }
});
