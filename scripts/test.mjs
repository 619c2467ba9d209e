// `npm test`: sets up, builds, and runs every check, each as a step with its own output. A step
// that fails does not keep the next ones from running. The last line is `N passed, N failed`.
import { setup } from './setup.mjs';
import { readArguments } from './lib/arguments.mjs';
import { countAsOneCheck, failuresIn } from './lib/count-tests.mjs';
import { runScript, run, ScriptError } from './lib/run.mjs';
import { ownSteps, stages } from './lib/test-steps.mjs';

/** @typedef {import('./lib/count-tests.mjs').Counts} Counts */
/** @typedef {import('./lib/test-steps.mjs').Step} Step */
/**
 * @typedef {{ name: string; passed: number; failed: number; seconds: number; note: string;
 * failures: string[] }} Result
 */

const USAGE = `usage: npm test

It runs everything, and takes no arguments. CONTRIBUTING.md, "Running less than everything", says how to run a part.`;

readArguments({ usage: USAGE });

await runScript(async () => {
  const results = [await runStep('setup', () => runOwn(setup))];
  for (const { name, check } of ownSteps) results.push(await runStep(name, () => runOwn(check)));
  for (const rows of stages()) results.push(...(await runStage(rows)));
  return printSummary(results);
});

/**
 * @param {Step[][]} rows
 * @returns {Promise<Result[]>}
 */
async function runStage(rows) {
  const [only = []] = rows;
  if (rows.length === 1) return runRow(only, (step) => runStep(step.name, () => runProgram(step)));
  const names = rows.map((row) => row.map(({ name }) => name).join(', '));
  console.log(`\n━━ side by side, each shown when it has ended: ${names.join(' | ')}`);
  return (await Promise.all(rows.map((row) => runRow(row, runThenShow)))).flat();
}

/**
 * @param {Step[]} row
 * @param {(step: Step) => Promise<Result>} runOne
 */
async function runRow(row, runOne) {
  const results = [];
  for (const step of row) results.push(await runOne(step));
  return results;
}

/**
 * Runs a step beside others: its output is shown when it has ended, so that outputs do not mix.
 *
 * @param {Step} step
 */
async function runThenShow(step) {
  let output = '';
  const startedAt = performance.now();
  const counts = await runProgram(step, (text) => (output += text));
  return runStep(step.name, async () => (process.stdout.write(output), counts), startedAt);
}

/**
 * @param {string} name
 * @param {() => Promise<Counts & { note?: string; failures?: string[] }>} action
 * @param {number} [startedAt]
 * @returns {Promise<Result>}
 */
async function runStep(name, action, startedAt = performance.now()) {
  console.log(`\n━━ ${name} ${'━'.repeat(Math.max(0, 76 - name.length))}`);
  const { passed, failed, note = '', failures = [] } = await action();
  const seconds = (performance.now() - startedAt) / 1000;
  return { name, passed, failed, seconds, note, failures };
}

/**
 * A step that is JavaScript of ours.
 *
 * @param {() => void | Promise<void>} action
 */
async function runOwn(action) {
  try {
    await action();
    return countAsOneCheck('', 0);
  } catch (error) {
    console.error(error instanceof ScriptError ? `✘ ${error.message}` : error);
    return countAsOneCheck('', 1);
  }
}

/**
 * @param {Step} step
 * @param {(text: string) => void} [keep] gets the output, which is then not shown as it comes
 */
async function runProgram({ command, args, count, skipBecause }, keep) {
  const say = keep ?? ((/** @type {string} */ text) => process.stdout.write(text));
  if (skipBecause) {
    say(`skipped: ${skipBecause}\n`);
    return { passed: 0, failed: 0, note: 'skipped' };
  }
  say(`$ ${[command, ...args].join(' ')}\n`);
  let output = '';
  const onOutput = (/** @type {string} */ text) => {
    output += text;
    keep?.(text);
  };
  try {
    const { exitCode } = await run(command, args, { onOutput, isQuiet: keep !== undefined });
    const { passed, failed } = count(output, exitCode);
    if (failed > 0) return { passed, failed, failures: failuresIn(output) };
    if (exitCode !== 0) {
      return {
        passed,
        failed: 1,
        note: `ended with exit code ${exitCode}`,
        failures: failuresIn(output),
      };
    }
    if (passed === 0) return { passed, failed: 1, note: 'ran no test' };
    return { passed, failed };
  } catch (error) {
    say(`${error instanceof Error ? error.message : error}\n`);
    return { passed: 0, failed: 1, note: 'did not run' };
  }
}

/**
 * @param {Result[]} results
 * @returns {number} the exit code
 */
function printSummary(results) {
  const widest = Math.max(...results.map(({ name }) => name.length));
  for (const { name, failures } of results) {
    if (failures.length > 0) console.log(`\n━━ failed: ${name}\n${failures.join('\n')}`);
  }
  console.log(`\n━━ summary ${'━'.repeat(69)}`);
  for (const { name, passed, failed, seconds, note } of results) {
    const mark = failed > 0 ? '✘' : note === 'skipped' ? '-' : '✔';
    const counts = `${String(passed).padStart(6)} passed ${String(failed).padStart(5)} failed`;
    console.log(
      `${mark} ${name.padEnd(widest)} ${counts} ${seconds.toFixed(1).padStart(8)} s  ${note}`.trimEnd(),
    );
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}
