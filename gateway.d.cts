// What `require` gives: the same as `import`. Everything is described in gateway.d.ts.
import type * as esm from './gateway.js' with { 'resolution-mode': 'import' };
export type * from './gateway.js' with { 'resolution-mode': 'import' };
export declare const createGateway: typeof esm.createGateway;
