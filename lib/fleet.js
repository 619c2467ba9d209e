/** The exports of `@absolutejs/runtime/fleet`, and the entry of its bundle. */
export { createFleet } from './fleet/fleet.js';
export { etcd } from './fleet/store.js';
