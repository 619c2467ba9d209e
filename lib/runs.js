/**
 * What JavaScript knows of one process from the decision to start it until nothing will be heard of it again.
 * @typedef {object} Run
 * @property {number} id
 * @property {string} key
 * @property {number} pid 0 until it is known
 * @property {number} port the one it was offered, then the one it really uses
 * @property {number} startedAt
 * @property {string | undefined} resourceId
 * @property {boolean} isOver its exit has been told
 * @property {InstanceType<typeof import('./tenants.js').Live> | undefined} live from ready on
 * @property {import('../index.js').RuntimeProcess | undefined} process the user's, from their `spawn`
 * @property {unknown} [startError] what `spawn` or `readiness` threw
 * @property {unknown} [killError] what `kill` threw last
 * @property {Map<string, unknown>} [errors] made so far, so that all who waited for the same thing get the same object
 * @property {string[] | undefined} output the last lines of a user's process, until it is ready
 */

/** Without what only failures add: each tenant would keep the room for it. @param {number} id @param {string} key @param {number} port @param {number} startedAt @returns {Run} */
export function createRun(id, key, port, startedAt) {
  return {
    id,
    key,
    pid: 0,
    port,
    startedAt,
    resourceId: undefined,
    isOver: false,
    live: undefined,
    process: undefined,
    output: undefined,
  };
}
