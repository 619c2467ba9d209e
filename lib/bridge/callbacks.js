/** Guards for the user's callbacks. */

/**
 * A callback that never throws. A promise that it returns may reject without effect.
 * @template E
 * @param {((event: E) => unknown) | undefined} callback
 * @returns {((event: E) => undefined) | undefined}
 */
export function guarded(callback) {
  if (callback === undefined) return undefined;
  return (event) => {
    try {
      const result = callback(event);
      if (result !== undefined && result !== null) disregard(result);
    } catch {
      // Ignored: an error in a callback must not affect the runtime.
    }
    return undefined;
  };
}

/**
 * How many results have been disregarded since the current turn began: `inbox.js` sets it to 0.
 */
export const disregarded = { promises: 0 };

/** Ignores what a callback has returned, and its rejection. @param {unknown} result */
export function disregard(result) {
  disregarded.promises += 1;
  Promise.resolve(result).catch(() => {});
}
