/**
 * A host for the doctor that is made of a few facts and answers; everything is as it should be
 * unless a test says otherwise.
 */
import { examine } from '../../../lib/doctor/examine.js';
import type { Facts } from '../../../lib/doctor/facts.js';
import type { Finding } from '../../../lib/doctor/findings.js';
import type { Host } from '../../../lib/doctor/host.js';

/** Of each part of the facts what is different; undefined stands for what cannot be read. */
export type OtherFacts = {
  [Part in keyof Facts]?: Facts[Part] extends unknown[] ? Facts[Part] : Partial<Facts[Part]>;
};
export type Changes = Partial<Omit<Host, 'facts'>> & { facts?: OtherFacts };

const BUN = '/opt/bun/bin/bun';
const WARDEN = '/opt/app/warden';
const GB = 2 ** 30;
const FILES: Record<string, string> = {
  '/proc/self/maps': '7f00-7f01 r--p 00000000 08:01 1 /usr/lib/libc.so.6',
  '/proc/swaps': 'Filename Type Size Used Priority\n/dev/zram0 partition 8388604 0 100\n',
};

/** A 16 GB machine, a service of its own user in a cgroup v2 that leaves it 14 GB. */
const GOOD_FACTS: Facts = {
  machine: {
    kernelRelease: '6.8.0-31-generic',
    pidMax: 4_194_304,
    threadsMax: 120_000,
    tasks: 500,
    openFiles: 2_000,
    openFilesMax: 2 ** 63,
    backlogMax: 4_096,
    ports: { first: 32_768, last: 60_999, reserved: 0 },
  },
  process: {
    openFiles: { soft: 65_536, hard: 65_536 },
    processes: { soft: 60_000, hard: 60_000 },
    hasNoNewPrivileges: false,
    hasSeccompFilter: false,
    oomScoreAdj: 0,
  },
  memory: { totalBytes: 16 * GB, availableBytes: 12 * GB },
  swaps: ['/dev/zram0'],
  pressure: {
    cpu: { some: [0, 1, 2], full: [0, 0, 0] },
    memory: { some: [0, 0, 0], full: [0, 0, 0] },
  },
  groups: {
    hasV1: false,
    hasV2: true,
    memberships: [],
    memory: {
      limitBytes: 14 * GB,
      freeBytes: 14 * GB,
      path: '/sys/fs/cgroup/system.slice/host.service',
    },
  },
  proc: { isMounted: true, listsChildren: true },
  temporary: { path: '/tmp', fileSystem: 'ext4', isNoexec: false },
  init: { name: 'systemd', groups: ['/init.scope'], unreaped: [] },
  confinement: {
    limits: [
      { name: 'memoryBytes', by: 'cgroup2' },
      { name: 'cpus', by: 'cgroup2' },
      { name: 'openFiles', by: 'rlimit' },
    ],
    landlock: 7,
    refusesSystemCalls: true,
    missing: [],
    users: { name: 'user' },
  },
};

function factsWith(others: OtherFacts): Facts {
  const parts = Object.entries(others).map(([name, part]) => {
    const good = GOOD_FACTS[name as keyof Facts];
    return [name, Array.isArray(part) || part === undefined ? part : { ...good, ...part }];
  });
  return { ...GOOD_FACTS, ...Object.fromEntries(parts) };
}

export function injectedHost({ facts = {}, ...changes }: Changes = {}): Host {
  const host: Host = {
    platform: 'linux',
    arch: 'x64',
    uid: 1000,
    cores: 4,
    execPath: '/usr/bin/node',
    nodeVersion: '20.11.1',
    bunVersion: undefined,
    env: { PATH: '/usr/bin:/opt/bun/bin' },
    read: (path) => FILES[path],
    exists: (path) => path === WARDEN,
    isExecutable: (path) => path === BUN || path === WARDEN,
    outputOf: () => '1.4.5',
    loadAddon: () => ({ wardenPath: WARDEN }),
    facts: () => {
      try {
        host.loadAddon();
        return factsWith(facts);
      } catch {
        return undefined;
      }
    },
    startTenant: async () => ({ readyMs: 14, asksKernel: true }),
    owned: async () => [],
    pause: async () => {},
    ...changes,
  };
  return host;
}

/** What the doctor finds on such a host. */
export async function findingsOf(changes: Changes = {}, tenants = 100): Promise<Finding[]> {
  const sections = await examine(injectedHost(changes), { tenants });
  return sections.flatMap(({ findings }) => findings);
}

/** One finding; throws, naming those there are, when there is none of that name. */
export async function finding(
  check: string,
  changes: Changes = {},
  tenants?: number,
): Promise<Finding> {
  const findings = await findingsOf(changes, tenants);
  const found = findings.find((one) => one.check === check);
  if (!found)
    throw new Error(
      `no finding about ${check}, only ${findings.map((one) => one.check).join(', ')}`,
    );
  return found;
}
