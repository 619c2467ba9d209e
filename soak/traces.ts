/**
 * What a host leaves besides processes: control groups, private temporary directories, and
 * processes of its tenants' users.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { usersOf } from './host/runtimes.mjs';
import { processes } from '../__test__/support/processes/table.ts';

/** Where hosts make control groups: below their own, in each hierarchy. */
function placesOfGroups(): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').matchAll(
    /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2? /gm,
  );
  const own = readFileSync('/proc/self/cgroup', 'utf8').matchAll(/^\d+:[^:]*:(.*)$/gm);
  const groups = [...own].map(([, path = '']) => path);
  const places = [...mounts].flatMap(([, at = '']) => groups.map((group) => join(at, group)));
  return [...new Set(places)].filter(existsSync);
}

/** Control groups and temporary directories of a host. They are named after its pid. */
export function madeBy(host: number): string[] {
  return [tmpdir(), ...placesOfGroups()].flatMap((place) =>
    readdirSync(place)
      .filter((name) => name.startsWith('absolute-') && name.includes(`-${host}-`))
      .map((name) => join(place, name)),
  );
}

/** The temporary directories of a host's tenants. */
export const temporaryOf = (host: number): string[] =>
  madeBy(host)
    .filter((path) => path.startsWith(tmpdir()))
    .flatMap(inside);

/** The control groups of a host's tenants, by hierarchy. */
export const groupsOf = (host: number): string[][] =>
  madeBy(host)
    .filter((path) => !path.startsWith(tmpdir()))
    .map(inside);

const inside = (path: string) => {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(path, name));
  } catch {
    // It is gone.
    return [];
  }
};

/** Processes that run as a user of this host's tenants. */
export function ofUsersOf(host: number) {
  const { first, count } = usersOf(host);
  return processes().filter(({ pid }) => {
    const uid = uidOf(pid);
    return uid >= first && uid < first + count;
  });
}

function uidOf(pid: number): number {
  try {
    return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
  } catch {
    return -1;
  }
}

/** What is left of a host that has ended, as text; empty if nothing is. */
export function tracesOf(host: number): string {
  const users = ofUsersOf(host).map(({ pid, name }) => `${name} ${pid} of a tenant's user`);
  return [...madeBy(host), ...users].join(', ');
}

/** Resolves with what `look` finds when that is nothing, or when the time is up. */
export async function untilNothing(look: () => string, patienceMs: number): Promise<string> {
  const from = performance.now();
  for (;;) {
    const found = look();
    if (found === '' || performance.now() - from > patienceMs) return found;
    await Bun.sleep(10);
  }
}
