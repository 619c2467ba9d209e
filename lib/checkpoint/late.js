/** Snapshots for a runtime that has a driver; what most do not need is loaded then. */

/** @typedef {import('./checkpoints.js').Checkpoints} Checkpoints */

/** @param {import('../runtime.js').Core} core */
export function loadCheckpoints(core) {
  /** @type {Checkpoints | undefined} */
  let images;
  const loading = import('#checkpoints').then(({ createCheckpoints }) => (images = createCheckpoints(core)));
  return {
    /** @type {Checkpoints['save']} */
    save: async (run) => (images ?? (await loading)).save(run),
    /** @type {Checkpoints['exited']} */
    exited(run, reason) {
      // Those that are still being loaded know of no run.
      images?.exited(run, reason);
    },
    /** @type {Checkpoints['restoreOr']} */
    restoreOr: async (run, isFresh, startCold) =>
      (images ?? (await loading)).restoreOr(run, isFresh, startCold),
  };
}
