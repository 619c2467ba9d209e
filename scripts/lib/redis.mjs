// A server of Redis, to which tenants are connected while they sleep. It is installed, or Debian's.
import { spawnSync } from 'node:child_process';
import { canInstall, install } from './debian.mjs';

/** The program that is `redis-server` under that name, without a service that begins by itself. */
const PROGRAM = 'redis-check-rdb';

/** Where it cannot be installed, its tests are skipped. */
export async function installRedis() {
  const isThere = spawnSync(PROGRAM, ['--version']).error === undefined;
  if (!isThere && canInstall()) await install('redis-tools');
}
