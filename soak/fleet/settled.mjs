// Waiting until a fleet serves all that is wanted of it.
import { setTimeout as pause } from 'node:timers/promises';

/** Once everything is mended, all keys must be served everywhere within so many leases. */
const SETTLED_LEASES = 6;

/** As tenants have it. */
export const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

/**
 * Waits until each of the gateways has served each of the keys that the visitors ask for, after
 * this moment.
 *
 * @param {import('./bed.mjs').Bed} bed
 * @param {import('./programs.mjs').Program} visitors
 * @param {{ keys?: string[]; through?: string[] }} [which] as of the visitors
 * @returns {Promise<string[]>} which have not in time
 */
export async function settled(bed, visitors, { keys = bed.keys, through = bed.hostNames } = {}) {
  const from = now();
  const missing = new Set(
    through.flatMap((name) => keys.map((key) => `${key} by ${bed.network.addressOf(name)}`)),
  );
  const late = pause(bed.size.leaseMs * SETTLED_LEASES + 60_000, 'late', { ref: false });
  let next = visitors.told.length;
  while (missing.size > 0) {
    if ((await Promise.race([visitors.more(), late])) === 'late') break;
    for (; next < visitors.told.length; next += 1) {
      const { sent, status, gateway, key } = visitors.told[next];
      if (sent >= from && status === 200) missing.delete(`${key} by ${gateway}`);
    }
  }
  return [...missing].map((what) => `${what} was not served in time`);
}
