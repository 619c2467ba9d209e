// A host of control groups of version 2 leaves its own group only for a start that needs it, and is
// back with the last `dispose`. On version 1 it never moves.
import { expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { addConsumer, canLimitTrees, createPool, Tenants } from '../support/processes/index.ts';

const limits = { memoryBytes: 256 << 20, processes: 100 };
const ownGroups = () => readFileSync('/proc/self/cgroup', 'utf8');

/** The groups of hosts below the own group of each hierarchy. */
function groupsOfHosts(own: string): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return own.split('\n').flatMap((line) => {
    const [, controllers = '', path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const mount = mounts
      .map((mount) => mount.split(' '))
      .find(([, , kind, options = '']) =>
        controllers === ''
          ? kind === 'cgroup2'
          : kind === 'cgroup' && options.includes(`,${controllers}`),
      );
    if (path === undefined || mount === undefined) return [];
    const directory = join(mount[1]!, path);
    const names = readdirSync(directory).filter((name) => name.startsWith('absolute-'));
    return names
      .filter((name) => name.includes(`-${process.pid}-`))
      .map((it) => join(directory, it));
  });
}

test.skipIf(!canLimitTrees)(
  'createRuntime and dispose without a start change nothing',
  async () => {
    const before = ownGroups();
    await using pool = createPool({ limits });
    expect(ownGroups()).toBe(before);
    expect(groupsOfHosts(before)).toEqual([]);
    await pool.dispose();
    expect(ownGroups()).toBe(before);
  },
);

test.skipIf(!canLimitTrees)('after each last dispose the host is where it was', async () => {
  const before = ownGroups();
  for (let round = 0; round < 2; round++) {
    await using pool = createPool({ limits });
    addConsumer(pool.tenants, 'app');
    await pool.runtime.ensure('app');
    const { memoryBytes } = pool.runtime.inspect('app')!.limits;
    expect(memoryBytes?.by).toMatch(/^cgroup[12]$/);
    expect(groupsOfHosts(before).length).toBeGreaterThan(0);
    await pool.dispose();
    expect(ownGroups()).toBe(before);
    expect(groupsOfHosts(before)).toEqual([]);
  }
});

test.skipIf(!canLimitTrees)('so it is after a start that reached no warden', async () => {
  const before = ownGroups();
  await using pool = createPool({ limits, backoff: { baseMs: 0 } });
  const error = await pool.runtime.ensure('no-such-tenant').catch((error) => error);
  expect(error.code).toMatch(/^ERR_RUNTIME_/);
  await pool.dispose();
  expect(ownGroups()).toBe(before);
  expect(groupsOfHosts(before)).toEqual([]);
});

test.skipIf(!canLimitTrees)('a start waits for what the last runtime has yet to undo', async () => {
  const before = ownGroups();
  await using tenants = new Tenants();
  addConsumer(tenants, 'app');
  for (let round = 0; round < 5; round++) {
    const { promise: exited, resolve } = Promise.withResolvers<void>();
    const onTransition = ({ type }: { type: string }) => void (type === 'exit' && resolve());
    const last = createRuntime({ source: tenants.source, limits, onTransition });
    await last.ensure('app');
    void last.dispose();
    // Its warden leaves now, and undoes the leaf of this host.
    await exited;
    const next = createRuntime({ source: tenants.source, limits });
    await next.ensure('app');
    expect(next.inspect('app')?.limits.memoryBytes?.by).toMatch(/^cgroup[12]$/);
    await next.dispose();
  }
  expect(ownGroups()).toBe(before);
  expect(groupsOfHosts(before)).toEqual([]);
});
