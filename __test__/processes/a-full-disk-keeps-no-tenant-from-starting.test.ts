// The disk with the tenants and TMPDIR is full: the runtime writes nothing, so tenants start.
import { expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  assertGone,
  binDirectory,
  engineNames,
  startHost,
  Tenants,
} from '../support/processes/index.ts';

/** Mounting a file system takes privileges that not every user has. */
const mayMount = spawnSync('unshare', ['--mount', 'true']).status === 0;

/**
 * A shell command that runs its arguments after it has copied the tenants to a new file system and
 * filled that.
 */
const onFullDisk = (root: string, disk: string) => `
set -- unshare --mount sh -ec '
  mount -t tmpfs -o size=256k none "${disk}"
  cp -r "${root}/t0" "${root}/t1" "${disk}/"
  dd if=/dev/zero of="${disk}/filler" bs=4k 2>/dev/null || true
  if echo more 2>/dev/null >"${disk}/more"; then echo "the disk is not full" >&2; exit 1; fi
  exec "$@"
' sh "$@"`;

for (const engine of engineNames) {
  test.skipIf(!mayMount)(`${engine}: tenants start, answer and end`, async () => {
    await using tenants = new Tenants().add('t0').add('t1');
    const disk = join(tenants.root, 'disk');
    mkdirSync(disk);
    const env = { ...process.env, PATH: `${binDirectory}:${process.env.PATH}`, TMPDIR: disk };
    await using host = startHost(engine, 'starts.mjs', [disk, '2', '2'], {
      env,
      before: onFullDisk(tenants.root, disk),
    });
    const all = expect.objectContaining({ counts: { ready: 2 } });
    expect(await host.saidJson('outcomes')).toEqual(all);
    host.say('go on');
    expect(await host.saidJson('again')).toEqual(all);
    await host.said('disposed');
    expect(await host.end()).toEqual({ code: 0, signal: null });
    assertGone('after dispose', tenants.processes());
  });
}
