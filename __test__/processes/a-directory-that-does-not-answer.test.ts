// A tenant's directory on a file system that never answers: only that tenant waits, and can be
// stopped.
import { expect, test } from 'bun:test';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createPool, Tenants, within } from '../support/processes/index.ts';

/**
 * A FUSE file system whose server, this shell, never answers. When it ends, all waiting calls
 * fail.
 */
const MOUNT = `exec 5<>/dev/fuse
mount -i -t fuse -o fd=5,rootmode=40000,user_id=0,group_id=0 silent "$1" && echo mounted && exec sleep 1000`;

async function mountSilent(directory: string) {
  mkdirSync(directory, { recursive: true });
  const server = spawn('sh', ['-c', MOUNT, 'sh', directory], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => server.once('close', resolve));
  const isMounted = await new Promise<boolean>((resolve) => {
    server.stdout.once('data', () => resolve(true));
    server.once('close', () => resolve(false));
  });
  return {
    isMounted,
    async [Symbol.asyncDispose]() {
      if (!isMounted) return;
      server.kill('SIGKILL');
      await ended;
      execFileSync('umount', ['-l', directory]);
    },
  };
}

await using probe = new Tenants();
const can = await (async () => {
  await using mount = await mountSilent(join(probe.root, 'silent'));
  return mount.isMounted;
})();

/** A directory below the mount cannot be entered; in the mount itself no file can be read. */
for (const [what, key] of [
  ['package.json cannot be read', 'silent'],
  ['it cannot be entered', 'silent/app'],
] as const) {
  test.skipIf(!can)(`${what}: other tenants start, and kill and dispose resolve`, async () => {
    await using pool = createPool();
    const { runtime, tenants } = pool;
    await using _ = await mountSilent(join(tenants.root, 'silent'));
    const hanging = runtime.ensure(key).catch((error: Error) => error);
    tenants.add('other');
    await within('another start', runtime.ensure('other'));
    await within('its kill', runtime.kill('other'));
    await within('the kill of the one that hangs', runtime.kill(key));
    expect(await within('its start', hanging)).toBeInstanceOf(Error);
    expect(runtime.inspect(key)?.state).not.toBe('spawning');

    const again = runtime.ensure(key).catch((error: Error) => error);
    await pool.dispose();
    expect(await again).toBeInstanceOf(Error);
  });
}

test.skipIf(!can)(
  'a start that is not stopped fails, and the error says why',
  async () => {
    await using pool = createPool({ readinessTimeoutMs: 1_000 });
    await using _ = await mountSilent(join(pool.tenants.root, 'silent'));
    const error = await within('the start', pool.runtime.ensure('silent')).catch((error) => error);
    expect([error.code, error.message]).toEqual([
      'ERR_RUNTIME_SPAWN',
      expect.stringMatching(/its directory ".*silent" .* could not be reached in time/),
    ]);
    expect(pool.events.of('spawn')).toEqual([]);
    await pool.dispose();
  },
  30_000,
);
