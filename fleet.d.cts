// What `require` gives: the same as `import`. Everything is described in fleet.d.ts.
import type * as esm from './fleet.js' with { 'resolution-mode': 'import' };
export type * from './fleet.js' with { 'resolution-mode': 'import' };
export declare const createFleet: typeof esm.createFleet;
export declare const etcd: typeof esm.etcd;
