// What the machine said: how its runs ended, and the table of all of them.
import { countBunTests, countNodeTests, failuresIn } from '../count-tests.mjs';
import { MARK } from './init.mjs';

/** @typedef {import('./plan.mjs').Run} Run */

/**
 * @typedef {object} Result
 * @property {Run} run
 * @property {number} passed
 * @property {number} failed
 * @property {number} seconds
 * @property {string} note why it failed, if no test says so
 * @property {string[]} failures
 */

/**
 * @typedef {object} Report of one machine
 * @property {string} facts
 * @property {string[]} problems of the machine itself
 * @property {Result[]} results
 */

/** What `timeout -s KILL` makes of a program's exit code. */
const KILLED = 137;

/** @param {string} line */
export const isLast = (line) => line === `${MARK} done`;

/**
 * A run that did not begin or end counts as one failure, and so does a machine that did not reach
 * its end.
 *
 * @param {string} output all that came out of the machine
 * @param {readonly Run[]} runs
 * @returns {Report}
 */
export function readReport(output, runs) {
  const lines = output.split('\n');
  const marks = lines.flatMap((line, index) => {
    if (!line.startsWith(`${MARK} `)) return [];
    const [word = '', ...rest] = line.slice(MARK.length + 1).split(' ');
    return [{ word, rest, index }];
  });
  const of = (/** @type {string} */ word) => marks.filter((mark) => mark.word === word);
  const results = runs.map((run, number) => {
    const [start] = of('start').filter(({ rest }) => rest[0] === `${number}`);
    const [end] = of('end').filter(({ rest }) => rest[0] === `${number}`);
    if (!start || !end) {
      const note = start ? 'did not end' : 'did not run';
      return { run, passed: 0, failed: 1, seconds: 0, note, failures: [] };
    }
    const [, exitCode, began, ended] = end.rest.map(Number);
    const text = lines.slice(start.index + 1, end.index).join('\n');
    return { run, seconds: Number(ended) - Number(began), ...judge(run, text, Number(exitCode)) };
  });
  const problems = of('problem').map(({ rest }) => rest.join(' '));
  if (of('done').length === 0) problems.push('the machine did not reach its end');
  return { facts: of('facts')[0]?.rest.join(' ') ?? 'unknown', problems, results };
}

/**
 * @param {Run} run
 * @param {string} text
 * @param {number} exitCode
 */
function judge({ runner, atMostSeconds }, text, exitCode) {
  if (runner === 'shell') {
    const failed = exitCode === 0 ? 0 : 1;
    const note = failed ? `ended with ${exitCode}` : '';
    return { passed: 1 - failed, failed, note, failures: [] };
  }
  const { passed, failed } = (runner === 'bun' ? countBunTests : countNodeTests)(text, exitCode);
  const failures = exitCode === 0 ? [] : failuresIn(text);
  if (exitCode === KILLED) {
    const note = `was ended after ${atMostSeconds} s`;
    return { passed, failed: failed + 1, note, failures };
  }
  if (failed > 0) return { passed, failed, note: '', failures };
  if (exitCode !== 0) return { passed, failed: 1, note: `ended with ${exitCode}`, failures };
  if (passed === 0) return { passed, failed: 1, note: 'ran no test', failures };
  return { passed, failed, note: '', failures };
}

/**
 * @param {readonly Report[]} reports
 * @returns {string}
 */
export function tableOf(reports) {
  const rows = reports.flatMap(({ facts, problems, results }) => [
    `\n${facts}`,
    ...results.map(rowOf),
    ...problems.map((problem) => `✘ ${problem}`),
  ]);
  const heading = `  ${'as'.padEnd(5)} ${'what'.padEnd(28)} files  passed  failed  seconds`;
  return [heading, ...rows].join('\n');
}

/** @param {Result} result */
function rowOf({ run, passed, failed, seconds, note }) {
  const numbers = [
    String(run.files.length).padStart(5),
    String(passed).padStart(7),
    String(failed).padStart(7),
    seconds.toFixed(0).padStart(8),
  ];
  const mark = failed > 0 ? '✘' : '✔';
  return `${mark} ${run.user.padEnd(5)} ${run.what.padEnd(28)} ${numbers.join(' ')}  ${note}`.trimEnd();
}

/** @param {readonly Report[]} reports */
export function sumOf(reports) {
  const results = reports.flatMap((report) => report.results);
  const problems = reports.flatMap((report) => report.problems);
  const total = (/** @type {'passed' | 'failed'} */ what) =>
    results.reduce((sum, result) => sum + result[what], 0);
  return { passed: total('passed'), failed: total('failed') + problems.length };
}
