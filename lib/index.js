/**
 * The package's exports. `npm run build` bundles this file with all that it imports statically.
 */
import { unsupported } from './errors.js';

export { createRuntime } from './runtime.js';
export { EgressDeniedError, isRuntimeError, RuntimeExitedBeforeReadyError } from './errors.js';
export { execCheckpointDriver } from './checkpoint/exec-driver.js';
export { createEgressGuard } from './egress/guard.js';
export { readProcessTreeStats } from './observe/telemetry.js';

// `engines` of package.json. Bun reports the version of Node that it is compatible with.
// `index.cjs` has the same check for `require`.
if (Number.parseInt(process.versions.node) < 20) {
  throw unsupported(
    `@absolutejs/runtime needs Node 20 or newer, or Bun; this is Node ${process.versions.node}`,
  );
}
