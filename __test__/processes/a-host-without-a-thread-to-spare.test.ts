// Looks at tenants are made on a thread that is there from the first start on: that no other can be had changes nothing.
import { expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { binDirectory, startHost, Tenants } from '../support/processes/index.ts';

/** The limit is one of users who are not root. */
const somebody =
  process.getuid?.() === 0 ? ['setpriv', `--reuid=${60_000 + (process.pid % 5_000)}`, '--clear-groups'] : [];

function prlimit(...args: string[]) {
  const [command = '', ...rest] = [...somebody, 'prlimit', ...args];
  const { status, stdout, stderr } = spawnSync(command, rest, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

const mostThreads = () => prlimit('--nproc', '--output=HARD', '--noheadings');
const limitThreads = (pid: number, most: string) => prlimit(`--pid=${pid}`, `--nproc=${most}:`);

// Bun itself does not get that far: it ends when it cannot make a thread.
test('tenants are observed, and stopped when they are idle, where there are no threads any more', async () => {
  await using tenants = new Tenants().add('app');
  chmodSync(tenants.root, 0o755);
  await using host = startHost('Node', 'looks.mjs', [tenants.root, 'app'], {
    env: { ...process.env, PATH: `${binDirectory}:${process.env.PATH}`, ABSOLUTE_RUNTIME_LOG: 'warn' },
    before: `set -- ${somebody.join(' ')} "$@"`,
  });
  await host.said('up');
  limitThreads(host.pid, '1');
  await host.said('observed');
  await host.said('idle-kill');
  limitThreads(host.pid, mostThreads());
  expect(host.errors).toBe('');
});
