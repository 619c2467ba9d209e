// What `require` gives: the same as `import`. Everything is described in control.d.ts.
import type * as esm from './control.js' with { 'resolution-mode': 'import' };
export type * from './control.js' with { 'resolution-mode': 'import' };
export declare const createControl: typeof esm.createControl;
