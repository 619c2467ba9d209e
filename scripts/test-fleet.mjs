// `npm run test:fleet`: a fleet of real hosts on this machine, with a real etcd and real faults. See
// `npm run test:fleet -- --help`.
import { spawnSync } from 'node:child_process';
import { readFleetArguments } from '../soak/fleet/arguments.mjs';
import { runFleet } from '../soak/fleet/run.mjs';
import { build } from './build.mjs';
import { canInstall, install } from './lib/debian.mjs';
import { findEtcd } from './lib/etcd.mjs';
import { runScript } from './lib/run.mjs';
import { setup } from './setup.mjs';

const how = readFleetArguments();
await runScript(async () => {
  await setup();
  await build();
  const missing = await whatIsMissing();
  if (missing !== undefined) {
    console.log(`› skipped: ${missing}`);
    return 0;
  }
  const violations = await runFleet(how);
  for (const violation of violations) console.log(`✘ ${violation}`);
  if (violations.length === 0) console.log('✓ nothing was served twice, by a ghost, or not at all');
  return violations.length === 0 ? 0 : 1;
});

/** Why no fleet can be tested on this machine, if none can. */
async function whatIsMissing() {
  if (process.getuid?.() !== 0) return 'only root makes network namespaces';
  const ip = (/** @type {string[]} */ ...args) => spawnSync('ip', args).status === 0;
  if (!ip('-V') && canInstall()) await install('iproute2');
  const name = `try-${process.pid}`;
  if (!ip('netns', 'add', name)) return 'there are no network namespaces';
  ip('netns', 'del', name);
  return findEtcd() === undefined ? 'etcd is neither on PATH nor to be had by apt' : undefined;
}
