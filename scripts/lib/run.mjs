// Starting programs: with their output shown live, and with a clear message when one is missing.
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { environment, root } from './paths.mjs';

const FORWARDED_SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/** A failure that is reported in one line, without a stack trace: the user can mend its cause. */
export class ScriptError extends Error {}

/**
 * Runs a program to its end, showing its output as it comes. Signals that end this process are
 * passed on to the program, so that it decides how to stop.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {object} [options]
 * @param {(text: string) => void} [options.onOutput] also gets both output streams, in pieces
 * @param {boolean} [options.isQuiet] gives them to `onOutput` alone, and the program no stdin
 * @param {boolean} [options.collectStdout] keeps stdout for the result instead of showing it
 * @param {Record<string, string>} [options.env] added to the environment
 * @returns {Promise<{ exitCode: number; stdout: string }>}
 */
export function run(
  command,
  args,
  { onOutput, isQuiet = false, collectStdout = false, env = {} } = {},
) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...environment(), ...env },
      stdio: [
        isQuiet ? 'ignore' : 'inherit',
        onOutput || collectStdout ? 'pipe' : 'inherit',
        onOutput ? 'pipe' : 'inherit',
      ],
    });
    const stopForwarding = forwardSignals(child);
    /** @type {Buffer[]} */
    const kept = [];
    child.stdout?.on('data', (chunk) => {
      if (collectStdout) kept.push(chunk);
      else if (!isQuiet) process.stdout.write(chunk);
      onOutput?.(String(chunk));
    });
    child.stderr?.on('data', (chunk) => {
      if (!isQuiet) process.stderr.write(chunk);
      onOutput?.(String(chunk));
    });
    child.on('error', (error) => {
      stopForwarding();
      reject(new ScriptError(`${command} could not be started: ${error.message}`));
    });
    child.on('close', (code, signal) => {
      stopForwarding();
      resolve({
        exitCode: code ?? exitCodeOfSignal(signal),
        stdout: Buffer.concat(kept).toString(),
      });
    });
  });
}

/**
 * Runs a script's main function: a `ScriptError` is printed as one line, and the exit code is set.
 *
 * @param {() => Promise<number | void>} main
 */
export async function runScript(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    console.error(error instanceof ScriptError ? `\n✘ ${error.message}` : error);
    process.exitCode = 1;
  }
}

/**
 * Whether a module is the program itself and not imported by another script.
 *
 * @param {string} moduleUrl its `import.meta.url`
 */
export function isProgram(moduleUrl) {
  return realpathSync(process.argv[1] ?? '') === fileURLToPath(moduleUrl);
}

/** @param {import('node:child_process').ChildProcess} child */
function forwardSignals(child) {
  const handlers = FORWARDED_SIGNALS.map((signal) => ({
    signal,
    handle: () => void child.kill(signal),
  }));
  for (const { signal, handle } of handlers) process.on(signal, handle);
  return () => {
    for (const { signal, handle } of handlers) process.off(signal, handle);
  };
}

/**
 * What a shell reports for a program that a signal ended.
 *
 * @param {NodeJS.Signals | null} signal
 */
function exitCodeOfSignal(signal) {
  return 128 + (signal ? constants.signals[signal] : 0);
}
