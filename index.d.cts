// What `require` gives: the same as `import`. Everything is described in index.d.ts.
import type * as esm from './index.js' with { 'resolution-mode': 'import' };
export type * from './index.js' with { 'resolution-mode': 'import' };
export declare const createEgressGuard: typeof esm.createEgressGuard;
export declare const createRuntime: typeof esm.createRuntime;
export declare const execCheckpointDriver: typeof esm.execCheckpointDriver;
export declare const isRuntimeError: typeof esm.isRuntimeError;
export declare const readProcessTreeStats: typeof esm.readProcessTreeStats;
export declare const EgressDeniedError: typeof esm.EgressDeniedError;
export type EgressDeniedError = esm.EgressDeniedError;
export declare const RuntimeExitedBeforeReadyError: typeof esm.RuntimeExitedBeforeReadyError;
export type RuntimeExitedBeforeReadyError = esm.RuntimeExitedBeforeReadyError;
