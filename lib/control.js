/** The exports of `@absolutejs/runtime/control`, and the entry of its bundle. */
export { createControl } from './control/control.js';
