// With a control group a tree is ended also when the warden and all keepers were killed with it: by
// the host, or if that is gone, too, by the next one. No temporary directory is left either.
import { expect, test } from 'bun:test';
import type { RuntimeOptions } from '@absolutejs/runtime';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import {
  addShapes,
  assertGone,
  canGroupTrees,
  canLimitTrees,
  createPool,
  descendantsOf,
  helpersOf,
  isThere,
  keyOf,
  type ShapeName,
  shapeNames,
  startHost,
  startShapes,
  Tenants,
  until,
  untilGone,
  wardenOf,
  watchExits,
} from '../support/processes/index.ts';
import { WALLS } from '../support/walls/kernel.ts';

const kinds: Record<string, Partial<RuntimeOptions>> = {
  ...(canGroupTrees && { 'within walls': { isolation: WALLS } }),
  ...(canLimitTrees && {
    'with limits': { limits: { processes: 500, memoryBytes: 1 << 30 } },
    'with both': { limits: { processes: 500 }, isolation: WALLS },
  }),
};

/** Whether this is the group that a host of version 2 has moved itself into. */
const isLeaf = (path: string) => basename(path).startsWith('absolute-host-');

/** Control groups and directories for temporary files of this host. */
function madeBy(host: number): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').matchAll(
    /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2? /gm,
  );
  const own = readFileSync('/proc/self/cgroup', 'utf8').matchAll(/^\d+:[^:]*:(.*)$/gm);
  const groups = [...own].flatMap(([, path = '']) => [
    path,
    ...(isLeaf(path) ? [dirname(path)] : []),
  ]);
  const above = [...mounts].flatMap(([, point = '']) => groups.map((group) => join(point, group)));
  const found = [tmpdir(), ...new Set(above)].filter(existsSync).flatMap((directory) => {
    const isIts = (name: string) => /^absolute-/.test(name) && name.includes(`-${host}-`);
    return namesIn(directory)
      .filter(isIts)
      .map((name) => join(directory, name));
  });
  return [...new Set(found)];
}

/** None if it was removed meanwhile. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** What wardens have made there for their tenants. */
const insides = (made: string[]) =>
  made.flatMap((directory) =>
    readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(directory, name)),
  );

for (const [kind, options] of Object.entries(kinds)) {
  test(`${kind}: the warden and its keepers are killed`, async () => {
    await using pool = createPool({ stopTimeoutMs: 300, ...options });
    const trees = await startShapes(pool);
    const problems = watchExits(pool, trees);
    const warden = wardenOf(process.pid)!;
    const before = insides(madeBy(process.pid));
    expect(before.length).toBeGreaterThan(shapeNames.length - 1);
    const keepers = [...trees.values()].flatMap(([keeper]) => keeper?.pid ?? []);
    // The warden last: as soon as it is gone the host ends what is left.
    for (const signal of ['SIGSTOP', 'SIGKILL'] as const)
      [...keepers, warden.pid].forEach((pid) => process.kill(pid, signal));
    const exits = await Promise.all([...trees.keys()].map(({ key }) => pool.events.exit(key)));
    expect(exits.every(({ reason }) => reason === 'crashed')).toBe(true);
    expect(problems).toEqual([]);
    assertGone('marked', pool.tenants.processes());
    expect(insides(madeBy(process.pid))).toEqual([]);
    await pool.dispose();
    expect(madeBy(process.pid)).toEqual([]);
  });

  test(`${kind}: and the host with them, and the next host ends what is left`, async () => {
    await using tenants = new Tenants();
    const names: ShapeName[] = ['helper in its own session', 'server that is a daemon'];
    addShapes(tenants, names);
    const start = (keys: string) =>
      startHost('Bun', 'ends.mjs', [tenants.root, keys, '', JSON.stringify(options)]);
    await using host = start(names.map(keyOf).join());
    await host.said('up');
    const warden = wardenOf(host.pid)!;
    const all = await until('all shapes are up', () => {
      const below = descendantsOf(warden.pid);
      return below.filter(({ name }) => name === 'sleep').length === helpersOf(names) && below;
    });
    // A spare keeper may have left since the look.
    const keepers = all.filter((one) => one.name.startsWith('abs-') && isThere(one));
    expect(keepers.length).toBeGreaterThan(names.length - 1);
    for (const signal of ['SIGSTOP', 'SIGKILL'] as const)
      [...keepers.map(({ pid }) => pid), warden.pid, host.pid].forEach((pid) =>
        process.kill(pid, signal),
      );
    await until('the host ends', () => host.hasEnded);
    // Without a host nothing ends these, and no other host may be started meanwhile: the step of the
    // tests of walls has the machine for itself.
    expect(all.some(isThere)).toBe(true);

    tenants.add('next');
    await using next = start('next');
    await next.said('up');
    await untilGone('after the next start', all);
    await until('the groups are removed', () => madeBy(host.pid).every(isLeaf));
    // The next host is in the leaf, where there is one.
    next.say('natural end');
    await next.exited;
    await until('all is removed', () => madeBy(host.pid).length === 0);
  });
}
