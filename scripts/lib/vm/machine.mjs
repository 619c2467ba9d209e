// Runs the machine until it says that it is done, ends by itself, or has had its time.
import { spawn } from 'node:child_process';
import { freemem } from 'node:os';
import { createInterface } from 'node:readline';
import { isLast } from './results.mjs';

/** @typedef {import('./architectures.mjs').Architecture} Architecture */

const MEMORY_MIB = 3072;
const PROCESSORS = 2;
/** A boot takes ten seconds, on a busy machine some more. */
const BOOT_SECONDS = 180;

/** Tests wait much, so two machines on two processors take little longer than one. */
const AT_ONCE = 2;

/** How many machines may run at a time: each needs its memory, and its first file system besides. */
export const machinesAtOnce = () =>
  freemem() > AT_ONCE * 1.5 * MEMORY_MIB * 2 ** 20 ? AT_ONCE : 1;

/**
 * @template T, R
 * @param {number} atOnce
 * @param {readonly T[]} all
 * @param {(one: T, index: number) => Promise<R>} act
 * @returns {Promise<R[]>} in the order of `all`
 */
export async function severalAtOnce(atOnce, all, act) {
  /** @type {R[]} */
  const done = [];
  const rest = all.entries();
  const worker = async () => {
    for (const [index, one] of rest) done[index] = await act(one, index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return done;
}

/**
 * @param {object} what
 * @param {Architecture} what.architecture
 * @param {string} what.kernel
 * @param {string} what.archive
 * @param {readonly import('./plan.mjs').Run[]} what.runs
 * @param {(line: string) => void} what.onLine
 * @returns {Promise<string>} all that it printed
 */
export function runMachine({ architecture, kernel, archive, runs, onLine }) {
  const { emulator, machine, console: port } = architecture;
  // Nothing of the kernel is printed among the results but what it says when it panics. Then it
  // reboots, which ends the emulator.
  const parameters = `console=${port} loglevel=1 oops=panic panic=-1 random.trust_cpu=on`;
  const child = spawn(
    emulator,
    [
      ...[...machine, '-accel', 'tcg,thread=multi', '-smp', `${PROCESSORS}`, '-m', `${MEMORY_MIB}`],
      ...['-nodefaults', '-display', 'none', '-serial', 'stdio', '-no-reboot'],
      ...['-kernel', kernel, '-initrd', archive, '-append', parameters],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const seconds = runs.reduce((sum, { atMostSeconds }) => sum + atMostSeconds, BOOT_SECONDS);
  const deadline = setTimeout(() => end(`did not end within ${seconds} s`), seconds * 1000);
  /** @type {string[]} */
  const lines = [];
  const say = (/** @type {string} */ line) => {
    lines.push(line);
    onLine(line);
  };
  const end = (/** @type {string} */ why) => {
    if (why) say(`the machine ${why}`);
    child.kill('SIGKILL');
  };
  const stop = () => end('was stopped');
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return new Promise((resolve, reject) => {
    createInterface(child.stdout).on('line', (text) => {
      const line = text.replaceAll('\r', '');
      say(line);
      if (isLast(line)) end('');
    });
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(deadline);
      process.off('SIGINT', stop).off('SIGTERM', stop);
      resolve(lines.join('\n'));
    });
  });
}
