// A pid may have been reused, or its process may have ended: then adopt refuses it, sends no
// signal, and keeps nothing.
import { expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import {
  createPool,
  descriptorsOf,
  engineNames,
  processOf,
  startHost,
  surplus,
  until,
  within,
} from '../support/processes/index.ts';
import { Child, isAlive, orphan } from '../support/processes/outside-processes.ts';

const options = { idleAfterMs: 0, sweepIntervalMs: 1e9, observeIntervalMs: 0 };

async function refusal(promise: Promise<unknown>): Promise<[string, string]> {
  const error = await within(
    'a refusal',
    promise.then(
      () => undefined,
      (error) => error,
    ),
  );
  return [error?.code, error?.message];
}

const cannot = (why: string): [string, string] => [
  'ERR_RUNTIME_SPAWN',
  `Tenant "app" cannot adopt the process: ${why}`,
];

test('a process that has ended and been reaped is refused', async () => {
  await using pool = createPool(options);
  const child = new Child(pool.tenants, 'exit 0', 'own group');
  await child.ended;
  const { pid } = child;
  expect(await refusal(pool.runtime.adopt('app', { pid }, { port: 4000 }))).toEqual(
    cannot(`there is no process ${pid}`),
  );
});

test('a zombie is refused', async () => {
  await using pool = createPool(options);
  // A shell that has executed another program never waits for its child.
  const parent = new Child(pool.tenants, 'exit 0 & exec sleep 1000', 'own group');
  const pid = await until('the zombie', () => zombieBelow(parent.pid));
  expect(await refusal(pool.runtime.adopt('app', { pid }, { port: 4000 }))).toEqual(
    cannot(`there is no process ${pid} any more`),
  );
  expect(isAlive(parent.pid)).toBe(true);
});

function zombieBelow(parent: number): number | undefined {
  if (processOf(parent)?.name !== 'sleep') return undefined;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const zombie = pids
    .map((pid) => processOf(Number(pid)))
    .find((one) => one?.parent === parent && one.state === 'Z');
  return zombie?.pid;
}

test('the id of a thread is refused', async () => {
  await using pool = createPool(options);
  const [thread] = readdirSync('/proc/self/task')
    .map(Number)
    .filter((id) => id !== process.pid);
  const [code, message] = await refusal(
    pool.runtime.adopt('app', { pid: thread! }, { port: 4000 }),
  );
  expect(code).toBe('ERR_RUNTIME_SPAWN');
  expect(message).toStartWith(
    `Tenant "app" cannot adopt the process: process ${thread} cannot be watched: `,
  );
});

test('a process that was started later than startedAt says is refused', async () => {
  await using pool = createPool(options);
  const { pid } = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  const startedAt = Date.now() - 60_000;
  expect(await refusal(pool.runtime.adopt('app', { pid }, { port: 4000, startedAt }))).toEqual(
    cannot(`pid ${pid} has been given to another process since`),
  );
  expect(isAlive(pid)).toBe(true);
  expect(pool.runtime.inspect('app')).toBeNull();

  // startedAt may be a few seconds off, and is passed on.
  const tenant = await pool.runtime.adopt(
    'app',
    { pid },
    { port: 4000, startedAt: Date.now() - 3_000 },
  );
  expect(tenant.startedAt).toBeLessThanOrEqual(Date.now() - 3_000);
});

test('a process that was started long ago is adopted with its startedAt', async () => {
  await using pool = createPool(options);
  const { pid } = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  const startedAt = Date.now() + 3_600_000;
  expect((await pool.runtime.adopt('app', { pid }, { port: 4000, startedAt })).startedAt).toBe(
    startedAt,
  );
});

test('a refused process goes on, and the runtime keeps no descriptor of it', async () => {
  await using pool = createPool(options);
  pool.tenants.add('taken');
  await pool.runtime.ensure('taken');
  const first = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  const { pid } = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  await pool.runtime.adopt('adopted', { pid: first.pid }, { port: 4000 });
  const before = pidfds();

  for (let round = 0; round < 20; round++) {
    const startedAt = Date.now() - 60_000;
    const refusals = await Promise.all([
      refusal(pool.runtime.adopt('taken', { pid }, { port: 4000 })),
      refusal(pool.runtime.adopt('adopted', { pid }, { port: 4000 })),
      refusal(pool.runtime.adopt('app', { pid }, { port: -1 })),
      refusal(pool.runtime.adopt('app', { pid }, { port: 4000, startedAt })),
      refusal(pool.runtime.adopt('..', { pid }, { port: 4000 })),
    ]);
    expect(refusals.map(([code]) => code)).toEqual([
      ...(['ERR_RUNTIME_ALREADY_REGISTERED', 'ERR_RUNTIME_ALREADY_REGISTERED'] as const),
      ...(['ERR_RUNTIME_INVALID_OPTION', 'ERR_RUNTIME_SPAWN', 'ERR_RUNTIME_INVALID_KEY'] as const),
    ]);
  }
  pool.runtime.drain();
  expect(await refusal(pool.runtime.adopt('app', { pid }, { port: 4000 }))).toEqual([
    'ERR_RUNTIME_DRAINING',
    'runtime is draining; adopt() refused',
  ]);
  expect(isAlive(pid)).toBe(true);
  await until('no descriptor is left', () => surplus(pidfds(), before).length === 0);

  // Nor of what was adopted, when that has ended.
  await pool.runtime.kill('adopted');
  await until('one less', () => pidfds().length < before.length);
  await pool.runtime.dispose();
  expect(isAlive(pid)).toBe(true);
});

const pidfds = () => descriptorsOf('self').filter((kind) => kind.includes('pidfd'));

test('dispose releases the process of an adoption that waits for room', async () => {
  await using pool = createPool({ ...options, maxConcurrent: 1 });
  const waits = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  const before = pidfds();
  const first = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  await pool.runtime.adopt('first', { pid: first.pid }, { port: 4000 });
  const refused = refusal(pool.runtime.adopt('app', { pid: waits.pid }, { port: 4001 }));
  await pool.runtime.dispose();
  expect((await refused)[0]).toBe('ERR_RUNTIME_DISPOSED');
  expect(isAlive(waits.pid)).toBe(true);
  expect(isAlive(first.pid)).toBe(false);
  await until('no descriptor is left', () => surplus(pidfds(), before).length === 0);
});

test('a leader of the group that the host is in: it alone is ended', async () => {
  await using pool = createPool(options);
  // The leader starts the host, and stays.
  const leads = `set -- setsid sh -c '"$@" & wait; sleep 1000' sh "$@"; cd ${pool.tenants.root}`;
  await using host = startHost('Bun', 'adopts.mjs', [pool.tenants.root, 'parent', 'kill'], {
    before: leads,
  });
  await host.said('killed');
  expect(await host.end()).toEqual({ code: null, signal: 'SIGTERM' });
});

/**
 * A pid namespace of its own, in which the next pid can be chosen; its first process, a shell,
 * reaps.
 */
const NAMESPACE = 'unshare --user --map-root-user --pid --fork --kill-child --mount-proc sh -c';
const canChoosePids = spawnSync('sh', [
  '-c',
  `${NAMESPACE} 'echo 100 > /proc/sys/kernel/ns_last_pid'`,
]);

for (const engine of engineNames) {
  test.if(canChoosePids.status === 0)(
    `${engine}: the process that has reused a pid gets no signal`,
    async () => {
      await using pool = createPool(options);
      await using host = startHost(engine, 'recycles.mjs', [pool.tenants.root], {
        before: `set -- ${NAMESPACE} '"$@"; exit $?' sh "$@"`,
      });
      const expected = { isSamePid: true, isAlive: true, code: 'ERR_RUNTIME_SPAWN' };
      for (const whose of ['alone', 'with its group']) {
        expect(await host.saidJson(whose)).toEqual(expected);
      }
      expect(await host.end()).toEqual({ code: 0, signal: null });
    },
  );
}
