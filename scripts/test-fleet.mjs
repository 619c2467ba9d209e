// `npm run test:fleet`: a fleet of real hosts on this machine, with a real etcd and real faults. See
// `npm run test:fleet -- --help`.
import { readFleetArguments } from '../soak/fleet/arguments.mjs';
import { whatIsMissing } from '../soak/fleet/missing.mjs';
import { runFleet } from '../soak/fleet/run.mjs';
import { build } from './build.mjs';
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
