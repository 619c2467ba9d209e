// Random numbers from a seed: the choice of operations can be repeated, their timing cannot.

export class Rng {
  #state;

  /** @param {string} seed any text */
  constructor(seed) {
    let hash = 0x811c9dc5;
    for (const character of seed)
      hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
    this.#state = hash >>> 0;
  }

  /** From 0 to below 1 (mulberry32). */
  fraction() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `end`. @param {number} end */
  below(end) {
    return Math.floor(this.fraction() * end);
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    return /** @type {T} */ (list[this.below(list.length)]);
  }

  /** @template {{ weight: number }} T @param {readonly T[]} list @returns {T} */
  weighted(list) {
    let left = this.fraction() * list.reduce((sum, { weight }) => sum + weight, 0);
    return list.find(({ weight }) => (left -= weight) < 0) ?? /** @type {T} */ (list.at(-1));
  }
}
