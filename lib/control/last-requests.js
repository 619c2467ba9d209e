/** The end of what serves requests: those that are open may end first, for a while. */

/** As long as other hosts of a fleet are waited for: open requests of a key have as long by default. */
const PASS_ON_MS = 30_000;
/** How often a host that passes its tenants on looks whether somebody is left to have them. */
const LOOK_FOR_HOSTS_MS = 100;
/** As long as a gateway waits by itself. */
export const GRACE_MS = 10_000;
/** How often it is counted what is open. */
const LOOK_MS = 50;

/**
 * Does what gives open requests some time, and then ends them. Returns how many it has broken off,
 * since they were still open when their time was up.
 *
 * @param {() => number} countOpen
 * @param {number} graceMs
 * @param {() => Promise<unknown>} end
 */
export async function countBrokenOff(countOpen, graceMs, end) {
  const until = performance.now() + graceMs;
  let open = countOpen();
  const timer = setInterval(() => {
    // What is broken off is not counted any more.
    if (performance.now() < until) open = countOpen();
  }, LOOK_MS);
  try {
    await end();
  } finally {
    clearInterval(timer);
  }
  return performance.now() < until ? 0 : open;
}

/**
 * Others of the fleet have the tenants before this host ends, as long as there are others.
 *
 * @param {Pick<import('../../fleet.js').Fleet, 'drain' | 'hosts'>} fleet
 */
export async function passOn(fleet) {
  const isDone = fleet.drain().then(() => true);
  for (let waitedMs = 0; waitedMs < PASS_ON_MS; waitedMs += LOOK_FOR_HOSTS_MS) {
    if (await Promise.race([isDone, timeout(LOOK_FOR_HOSTS_MS)])) return;
    if (!fleet.hosts().some(({ state }) => state === 'live')) return;
  }
}

/** @param {number} ms */
const timeout = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref?.());

/**
 * Closes the gateway, and returns how many requests it has broken off.
 *
 * @param {Pick<import('../../gateway.js').Gateway, 'close' | 'stats'>} gateway
 * @param {number} graceMs
 */
export const closeGateway = (gateway, graceMs) =>
  countBrokenOff(
    () => gateway.stats().inFlight,
    graceMs,
    () => gateway.close({ graceMs }),
  );
