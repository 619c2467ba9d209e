/** A user's callbacks: none breaks anything by throwing, or by returning a promise that rejects. */

/**
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
      // The callback's own affair: the pool goes on.
    }
    return undefined;
  };
}

/** How many results have been disregarded since somebody has set it to 0. */
export const disregarded = { promises: 0 };

/** What a callback has returned instead of nothing. @param {unknown} result */
export function disregard(result) {
  disregarded.promises += 1;
  Promise.resolve(result).catch(() => {});
}
