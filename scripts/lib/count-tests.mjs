// How many tests passed and failed, read from what each test runner prints. A runner that ended
// with an error without naming a failed test is the caller's to count.

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

/**
 * The soak ends with `soak: 30 hosts passed, 0 failed`.
 *
 * @type {Counter}
 */
export function countSoakHosts(output) {
  return sumMatches(
    output,
    /^soak: (\d+) hosts passed/gm,
    /^soak: \d+ hosts passed, (\d+) failed$/gm,
  );
}

/**
 * The machine in the machine ends with `vm: 119 tests passed, 0 failed`; the lines of the runners
 * in it come before.
 *
 * @type {Counter}
 */
export function countVmTests(output) {
  return sumMatches(output, /^vm: (\d+) tests passed/gm, /^vm: \d+ tests passed, (\d+) failed$/gm);
}

/**
 * How many lines are repeated of what bun prints for a failed test, and of an output without one.
 */
const MAX_LINES = 30;
const END_OF_A_TEST_IN_BUN = /^\((?:pass|fail|skip|todo)\) /;

/**
 * The part of a runner's output about failed tests. `npm test` repeats it at its end, since logs
 * are often cut. node and cargo print it after all tests; bun before the line that names the test.
 *
 * @param {string} output
 * @returns {string[]}
 */
export function failuresIn(output) {
  const text = plain(output).trimEnd();
  const together =
    text.match(/^✖ failing tests:\n[^]*/m) ?? text.match(/^failures:\n[^]*?^test result: .*/gm);
  if (together) return [...together];
  const lines = text.split('\n');
  const ofBun = lines.flatMap((line, index) => {
    if (!line.startsWith('(fail) ')) return [];
    const before = lines.slice(Math.max(0, index - MAX_LINES), index);
    const previousTest = before.findLastIndex((other) => END_OF_A_TEST_IN_BUN.test(other));
    return [[...before.slice(previousTest + 1), line].join('\n')];
  });
  return ofBun.length > 0 ? [...new Set(ofBun)] : [lines.slice(-MAX_LINES).join('\n')];
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
