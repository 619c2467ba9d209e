/** The exports of `@absolutejs/runtime/gateway`, and the entry of its bundle. */
export { createGateway } from './gateway/gateway.js';
