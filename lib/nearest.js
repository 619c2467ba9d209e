/** The word that somebody meant who wrote another one. */

/**
 * The nearest of some words, if one is near enough to be meant: one letter in three may differ, two in a short word, and
 * upper and lower case do not count.
 * @param {string} word
 * @param {readonly string[]} words
 * @returns {string | undefined}
 */
export function nearest(word, words) {
  const meant = word.slice(0, LONGEST_WORD).toLowerCase();
  /** @type {string | undefined} */
  let best;
  let least = Infinity;
  for (const other of words) {
    const changes = changesBetween(meant, other.toLowerCase());
    if (changes < least && changes <= Math.max(2, other.length / 3)) [best, least] = [other, changes];
  }
  return best;
}

/** Longer than every word that there is to be meant. */
const LONGEST_WORD = 100;

/** How many letters must be added, removed or changed, or swapped with the next one. @param {string} from @param {string} to */
function changesBetween(from, to) {
  /** The changes from the first letters of `from` to each beginning of `to`; the row before; and the one before that. */
  let row = Array.from({ length: to.length + 1 }, (_, length) => length);
  let before = row;
  let beforeThat = row;
  for (let i = 1; i <= from.length; i += 1) {
    [beforeThat, before, row] = [before, row, [i]];
    for (let j = 1; j <= to.length; j += 1) {
      const same = from[i - 1] === to[j - 1];
      let changes = Math.min(
        /** @type {number} */ (before[j]) + 1,
        /** @type {number} */ (row[j - 1]) + 1,
        /** @type {number} */ (before[j - 1]) + (same ? 0 : 1),
      );
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (isSwapped) changes = Math.min(changes, /** @type {number} */ (beforeThat[j - 2]) + 1);
      row.push(changes);
    }
  }
  return /** @type {number} */ (row[to.length]);
}
