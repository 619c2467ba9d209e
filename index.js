export { createRuntime } from './lib/runtime.js';
export { RuntimeExitedBeforeReadyError } from './lib/errors.js';
export { readProcessTreeStats } from './lib/status.js';
