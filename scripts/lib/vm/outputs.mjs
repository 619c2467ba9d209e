// Several machines run at a time, and each one's output is printed in one piece.

/**
 * @param {number} count how many machines there are
 * @param {(line: string) => void} print
 */
export function outputs(count, print) {
  const held = Array.from({ length: count }, () => /** @type {string[]} */ ([]));
  const hasEnded = held.map(() => false);
  let shown = 0;
  return held.map((lines, index) => ({
    /** Prints the line if all machines before this one have ended, and else keeps it. */
    say(/** @type {string} */ line) {
      if (index === shown) print(line);
      else lines.push(line);
    },
    end() {
      hasEnded[index] = true;
      while (hasEnded[shown]) {
        shown += 1;
        held[shown]?.splice(0).forEach(print);
      }
    },
  }));
}

/** @typedef {ReturnType<typeof outputs>[number]} Output */
