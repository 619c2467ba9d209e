/** What the package exports: `npm run build` makes one file of it and of all that it loads at once. */
import { unsupported } from './errors.js';

export { createRuntime } from './runtime.js';
export { EgressDeniedError, isRuntimeError, RuntimeExitedBeforeReadyError } from './errors.js';
export { execCheckpointDriver } from './checkpoint/exec-driver.js';
export { createEgressGuard } from './egress/guard.js';
export { readProcessTreeStats } from './observe/telemetry.js';

// As in package.json; Bun says which Node it stands for. `index.cjs` says the same to those who use `require`.
if (Number.parseInt(process.versions.node) < 20) {
  throw unsupported(
    `@absolutejs/runtime needs Node 20 or newer, or Bun; this is Node ${process.versions.node}`,
  );
}
