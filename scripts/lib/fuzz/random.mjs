// Random choices that can be repeated: the same seed gives the same choices.

/** @typedef {ReturnType<typeof createRandom>} Random */

/** Mulberry32, which is small and good enough to choose by. @param {number} seed */
export function createRandom(seed) {
  let state = seed >>> 0;

  function next() {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  return {
    /** A whole number from 0 on, below this one. @param {number} end */
    below: (end) => Math.floor(next() * end),
    /** @param {number} probability */
    chance: (probability) => next() < probability,
    /** @template T @param {readonly T[]} choices @returns {T} */
    one: (choices) => /** @type {T} */ (choices[Math.floor(next() * choices.length)]),
  };
}
