/** A host for the doctor that is made of a few files and answers; everything is as it should be unless a test says otherwise. */
import { examine } from '../../../lib/doctor/examine.js';
import type { Finding } from '../../../lib/doctor/findings.js';
import type { Host } from '../../../lib/doctor/host.js';

export type Files = Record<string, string | undefined>;
export type Changes = Partial<Omit<Host, 'read'>> & { files?: Files };

const BUN = '/opt/bun/bin/bun';
const WARDEN = '/opt/app/warden';
const LINUX_PID = 77;

export const CGROUP_2 = '40 30 0:50 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate';

/** A 16 GB machine, a service of its own user in a cgroup v2 that leaves it 14 GB. */
const GOOD_FILES: Files = {
  '/proc/self/maps': '7f00-7f01 r--p 00000000 08:01 1 /usr/lib/x86_64-linux-gnu/libc.so.6',
  '/proc/self/stat': '77 (node) S 1 77 77',
  '/proc/self/mounts': 'proc /proc proc rw,nosuid 0 0',
  [`/proc/self/task/${LINUX_PID}/children`]: '',
  '/proc/self/status': 'Name:\tnode\nNoNewPrivs:\t0\nSeccomp:\t0\n',
  '/proc/self/limits': limits({ files: '65536 65536', processes: '60000 60000' }),
  '/proc/self/cgroup': '0::/system.slice/host.service\n',
  '/proc/self/mountinfo': `${CGROUP_2}\n`,
  '/sys/fs/cgroup/system.slice/host.service/memory.max': `${14 * 2 ** 30}\n`,
  '/proc/self/oom_score_adj': '0\n',
  '/proc/1/comm': 'systemd\n',
  '/proc/1/cgroup': '0::/init.scope\n',
  '/proc/1/stat': '1 (systemd) S 0 1 1',
  '/proc/loadavg': '0.10 0.10 0.10 1/500 4000\n',
  '/proc/meminfo': 'MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:   12582912 kB\n',
  '/proc/swaps': 'Filename Type Size Used Priority\n/dev/zram0 partition 8388604 0 100\n',
  '/proc/sys/kernel/osrelease': '6.8.0-31-generic\n',
  '/proc/sys/kernel/pid_max': '4194304\n',
  '/proc/sys/kernel/threads-max': '120000\n',
  '/proc/sys/fs/file-nr': '2000\t0\t9223372036854775807\n',
  '/proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
  '/proc/sys/net/ipv4/ip_local_reserved_ports': '\n',
  '/proc/sys/net/core/somaxconn': '4096\n',
  '/sys/kernel/security/lsm': 'lockdown,capability,landlock,yama,apparmor\n',
};

export function limits({ files, processes }: { files: string; processes: string }): string {
  return [
    'Limit                     Soft Limit           Hard Limit           Units     ',
    `Max processes             ${processes} processes`,
    `Max open files            ${files} files`,
  ].join('\n');
}

export function injectedHost({ files = {}, ...changes }: Changes = {}): Host {
  const all = { ...GOOD_FILES, ...files };
  return {
    platform: 'linux',
    arch: 'x64',
    pid: LINUX_PID,
    uid: 1000,
    cores: 4,
    execPath: '/usr/bin/node',
    nodeVersion: '20.11.1',
    bunVersion: undefined,
    env: { PATH: '/usr/bin:/opt/bun/bin' },
    read: (path) => all[path],
    list: (path) => childrenOf(path, Object.keys(all)),
    exists: (path) => path === WARDEN || all[path] !== undefined,
    isExecutable: (path) => path === BUN || path === WARDEN,
    outputOf: () => '1.4.5',
    loadAddon: () => ({ wardenPath: WARDEN }),
    startTenant: async () => ({ readyMs: 14, asksKernel: true }),
    pause: async () => {},
    ...changes,
  };
}

const childrenOf = (directory: string, paths: readonly string[]) => [
  ...new Set(
    paths
      .filter((path) => path.startsWith(`${directory}/`))
      .map((path) => path.slice(directory.length + 1).split('/')[0]!),
  ),
];

/** What the doctor finds on such a host. */
export async function findingsOf(changes: Changes = {}, tenants = 100): Promise<Finding[]> {
  const sections = await examine(injectedHost(changes), { tenants });
  return sections.flatMap(({ findings }) => findings);
}

/** One finding; throws, naming those there are, when there is none of that name. */
export async function finding(check: string, changes: Changes = {}, tenants?: number): Promise<Finding> {
  const findings = await findingsOf(changes, tenants);
  const found = findings.find((one) => one.check === check);
  if (!found)
    throw new Error(`no finding about ${check}, only ${findings.map((one) => one.check).join(', ')}`);
  return found;
}
