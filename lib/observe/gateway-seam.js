/** From a gateway, which is all that users have, to what controls and fleets need of it. */
import { shown } from '../checks.js';
import { invalidOption } from '../errors.js';

/**
 * What is known of a gateway.
 * @typedef {object} GatewaySeam
 * @property {import('../runtime.js').Core} core
 * @property {{ by: string, domain?: string, hosts?: { host: string, key: string }[] }} route
 * @property {() => { keys: string[], numbers: Float64Array, perKey: number, boundsMs: number[] }}
 *   statsOfAll
 * @property {(key: string) => { inFlight: number, waiting: number,
 *   requests: Record<string, number>, refused: number, answerHistogram: { count: number }[] }} statsOf
 */

/** @param {string} path @param {any} gateway @returns {GatewaySeam} */
export function gatewaySeamAt(path, gateway) {
  const seam = gateway?.stats?.[Symbol.for('@absolutejs/runtime.gateway')];
  if (seam !== undefined) return seam;
  throw invalidOption(`${path} must be what createGateway returned, got ${shown(gateway)}`);
}
