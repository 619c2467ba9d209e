// What `require` gives: the same as `import`. Everything is described in prometheus.d.ts.
import type * as esm from './prometheus.js' with { 'resolution-mode': 'import' };
export type * from './prometheus.js' with { 'resolution-mode': 'import' };
export declare const createRuntimeCollector: typeof esm.createRuntimeCollector;
