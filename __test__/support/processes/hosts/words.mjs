// What host programs and their tests say to each other: a line each.
import { createInterface } from 'node:readline';

/** @param {string} word @param {unknown} [value] */
export const say = (word, value) =>
  console.log(value === undefined ? word : `${word} ${JSON.stringify(value)}`);

/** Resolves with the next line of standard input, and lets go of it then. @returns {Promise<string>} */
export const told = () =>
  new Promise((resolve) => {
    const input = createInterface(process.stdin);
    input.once('line', (line) => {
      input.close();
      process.stdin.destroy();
      resolve(line);
    });
  });
