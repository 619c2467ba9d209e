/**
 * Addresses that another host is about to leave, as this one takes over from it. That it has left
 * one, it says by nothing else than that the address is free.
 */

/** How long a host that has left its tenants may need to leave its addresses. */
export const LEAVING_MS = 10_000;
/** How often it is looked whether it has. */
export const LOOK_MS = 50;

/**
 * Has the server listen. One address is tried again for so long, as it may be another host's still.
 * @param {import('node:net').Server} server
 * @param {{ port: number, host: string }} place
 * @param {number} patienceMs
 * @returns {Promise<void>}
 */
export function listenWhenLeft(server, place, patienceMs) {
  const until = performance.now() + patienceMs;
  return new Promise((resolve, reject) => {
    const listen = () => server.listen(place);
    server.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      if (error.code === 'EADDRINUSE' && performance.now() < until) setTimeout(listen, LOOK_MS);
      else reject(error);
    });
    server.once('listening', resolve);
    listen();
  });
}
