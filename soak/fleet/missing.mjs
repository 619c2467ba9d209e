// What a machine needs for the fleet's test bed.
import { spawnSync } from 'node:child_process';
import { canInstall, install } from '../../scripts/lib/debian.mjs';
import { findEtcd } from '../../scripts/lib/etcd.mjs';

/** Why no fleet can be tested on this machine, if none can. */
export async function whatIsMissing() {
  if (process.getuid?.() !== 0) return 'only root makes network namespaces';
  const ip = (/** @type {string[]} */ ...args) => spawnSync('ip', args).status === 0;
  if (!ip('-V') && canInstall()) await install('iproute2');
  const name = `try-${process.pid}`;
  if (!ip('netns', 'add', name)) return 'there are no network namespaces';
  ip('netns', 'del', name);
  return findEtcd() === undefined ? 'etcd is neither on PATH nor to be had by apt' : undefined;
}
