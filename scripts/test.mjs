// `npm test`: sets up, builds, and runs every check, each as a step with its own output. A step that
// fails does not keep the next ones from running. The last line is `N passed, N failed`.
import { build } from './build.mjs';
import { setup } from './setup.mjs';
import { readArguments } from './lib/arguments.mjs';
import { countAsOneCheck, failuresIn } from './lib/count-tests.mjs';
import { runScript, run, ScriptError } from './lib/run.mjs';
import { ownSteps, steps } from './lib/test-steps.mjs';

/** @typedef {import('./lib/count-tests.mjs').Counts} Counts */
/** @typedef {{ name: string; passed: number; failed: number; seconds: number; note: string; failures: string[] }} Result */

const USAGE = `usage: npm test

It runs everything, and takes no arguments. CONTRIBUTING.md, "Running less than everything", says how to run a part.`;

readArguments({ usage: USAGE });

await runScript(async () => {
  const results = [
    await runStep('setup', () => runOwn(setup)),
    await runStep('build', () => runOwn(build)),
  ];
  for (const { name, check } of ownSteps) results.push(await runStep(name, () => runOwn(check)));
  for (const step of steps()) results.push(await runStep(step.name, () => runProgram(step)));
  return printSummary(results);
});

/**
 * @param {string} name
 * @param {() => Promise<Counts & { note?: string; failures?: string[] }>} action
 * @returns {Promise<Result>}
 */
async function runStep(name, action) {
  console.log(`\n━━ ${name} ${'━'.repeat(Math.max(0, 76 - name.length))}`);
  const startedAt = performance.now();
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

/** @param {import('./lib/test-steps.mjs').Step} step */
async function runProgram({ command, args, count, skipBecause }) {
  if (skipBecause) {
    console.log(`skipped: ${skipBecause}`);
    return { passed: 0, failed: 0, note: 'skipped' };
  }
  console.log(`$ ${[command, ...args].join(' ')}`);
  let output = '';
  try {
    const { exitCode } = await run(command, args, { onOutput: (text) => (output += text) });
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
    console.error(error instanceof Error ? error.message : error);
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
