// Tenants are observed on a thread that exists since the first start, so a limit on threads
// changes nothing.
import { expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { binDirectory, startHost, Tenants } from '../support/processes/index.ts';

/** Runs a command as another user if this is root, to whom the limit does not apply. */
const asUser =
  process.getuid?.() === 0
    ? ['setpriv', `--reuid=${60_000 + (process.pid % 5_000)}`, '--clear-groups']
    : [];

function prlimit(...args: string[]) {
  const [command = '', ...rest] = [...asUser, 'prlimit', ...args];
  const { status, stdout, stderr } = spawnSync(command, rest, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

const mostThreads = () => prlimit('--nproc', '--output=HARD', '--noheadings');
const limitThreads = (pid: number, most: string) => prlimit(`--pid=${pid}`, `--nproc=${most}:`);

// In Node only: Bun itself ends when it cannot create a thread.
test('without another thread tenants are observed, and stopped when they are idle', async () => {
  await using tenants = new Tenants().add('app');
  chmodSync(tenants.root, 0o755);
  await using host = startHost('Node', 'looks.mjs', [tenants.root, 'app'], {
    env: {
      ...process.env,
      PATH: `${binDirectory}:${process.env.PATH}`,
      ABSOLUTE_RUNTIME_LOG: 'warn',
    },
    before: `set -- ${asUser.join(' ')} "$@"`,
  });
  await host.said('up');
  limitThreads(host.pid, '1');
  await host.said('observed');
  await host.said('idle-kill');
  limitThreads(host.pid, mostThreads());
  expect(host.errors).toBe('');
});
