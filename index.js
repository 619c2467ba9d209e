export { createRuntime } from './lib/runtime.js';
export { EgressDeniedError, RuntimeExitedBeforeReadyError } from './lib/errors.js';
export { execCheckpointDriver } from './lib/checkpoint/checkpoints.js';
export { createEgressGuard } from './lib/egress/guard.js';
export { readProcessTreeStats } from './lib/telemetry.js';
