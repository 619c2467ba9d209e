// What `require` gives: the same as `import`. Everything is described in config.d.ts.
import type * as esm from './config.js' with { 'resolution-mode': 'import' };
export type * from './config.js' with { 'resolution-mode': 'import' };
export declare const defineConfig: typeof esm.defineConfig;
