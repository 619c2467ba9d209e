// How many tests passed and failed, read from what each test runner prints. A runner that ended with
// an error without naming a failed test is the caller's to count.

/** @typedef {{ passed: number; failed: number }} Counts */
/** @typedef {(output: string, exitCode: number) => Counts} Counter */

/**
 * A check that has no tests of its own: a formatter or a type checker.
 *
 * @type {Counter}
 */
export function countAsOneCheck(_output, exitCode) {
  return exitCode === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/**
 * cargo prints a line for every test program: `test result: ok. 5 passed; 0 failed; …`.
 *
 * @type {Counter}
 */
export function countCargoTests(output) {
  return sumMatches(output, /^test result: .*?(\d+) passed/gm, /^test result: .*?(\d+) failed/gm);
}

/**
 * bun ends with ` 5 pass` and ` 0 fail`, and with ` 1 error` for what went wrong outside a test.
 *
 * @type {Counter}
 */
export function countBunTests(output) {
  return sumMatches(output, /^ *(\d+) pass$/gm, /^ *(\d+) (?:fail|errors?)$/gm);
}

/**
 * node ends with `# pass 5`, or `ℹ pass 5` from its other reporter.
 *
 * @type {Counter}
 */
export function countNodeTests(output) {
  return sumMatches(output, /^[#ℹ] pass (\d+)$/gm, /^[#ℹ] (?:fail|cancelled) (\d+)$/gm);
}

/** How much of what was printed before a failed test's own line is repeated with it. */
const LINES_OF_A_FAILURE = 30;
const END_OF_A_TEST = /^(?:\(\w+\) | *[✔✖] |test .+ \.\.\. )/;
const FAILED_TEST = /^(?:\(fail\) | *✖ |test .+ \.\.\. FAILED)/;

/**
 * The failed tests of a runner's output: the line that names each, after what was printed for it. A
 * long output is often cut where it is kept, so these are worth repeating at its end.
 *
 * @param {string} output
 * @returns {string[]}
 */
export function failuresIn(output) {
  const lines = plain(output).split('\n');
  return lines.flatMap((line, index) => {
    if (!FAILED_TEST.test(line)) return [];
    const before = lines.slice(Math.max(0, index - LINES_OF_A_FAILURE), index);
    const previousTest = before.findLastIndex((text) => END_OF_A_TEST.test(text));
    return [[...before.slice(previousTest + 1), line].join('\n')];
  });
}

/**
 * @param {string} output
 * @param {RegExp} passedPattern
 * @param {RegExp} failedPattern
 * @returns {Counts}
 */
function sumMatches(output, passedPattern, failedPattern) {
  const text = plain(output);
  const sum = (/** @type {RegExp} */ pattern) =>
    [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  return { passed: sum(passedPattern), failed: sum(failedPattern) };
}

/** @param {string} output with the colours of a terminal */
function plain(output) {
  return output.replaceAll(/\x1b\[[0-9;]*m/g, '');
}
