/** The end of a gateway: requests that are open may end first, for a while. */

/** As long as a gateway waits by itself. */
export const GRACE_MS = 10_000;
/** How often it is counted what is open. */
const LOOK_MS = 50;

/**
 * Closes the gateway. Returns how many requests it has broken off, since they were still open when
 * their time was up.
 *
 * @param {Pick<import('../../../gateway.js').Gateway, 'close' | 'stats'>} gateway
 * @param {number} graceMs
 */
export async function closeGateway(gateway, graceMs) {
  const until = performance.now() + graceMs;
  let open = gateway.stats().inFlight;
  const timer = setInterval(() => {
    // What the gateway breaks off is not counted any more.
    if (performance.now() < until) open = gateway.stats().inFlight;
  }, LOOK_MS);
  await gateway.close({ graceMs });
  clearInterval(timer);
  return performance.now() < until ? 0 : open;
}
