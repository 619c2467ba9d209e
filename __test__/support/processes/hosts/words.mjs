// The lines that host programs and their tests exchange.
import { createInterface } from 'node:readline';

/** @param {string} word @param {unknown} [value] */
export const say = (word, value) =>
  console.log(value === undefined ? word : `${word} ${JSON.stringify(value)}`);

/**
 * Resolves with the next line of standard input, and then stops reading.
 * @returns {Promise<string>}
 */
export const told = () =>
  new Promise((resolve) => {
    const input = createInterface(process.stdin);
    input.once('line', (line) => {
      input.close();
      process.stdin.destroy();
      resolve(line);
    });
  });
