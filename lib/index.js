/** What the package exports: `npm run build` makes one file of it and of all that it loads at once. */
export { createRuntime } from './runtime.js';
export { EgressDeniedError, isRuntimeError, RuntimeExitedBeforeReadyError } from './errors.js';
export { execCheckpointDriver } from './checkpoint/exec-driver.js';
export { createEgressGuard } from './egress/guard.js';
export { readProcessTreeStats } from './telemetry.js';
