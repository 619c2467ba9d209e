/** Runs one command, without a shell and with a time limit, and reads its output. */
import { spawn } from 'node:child_process';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { textOf } from '../errors.js';
import { LONGEST_TIMER_MS } from '../tenant/calls.js';

/** A command that has printed the awaited line and still fails does so within this time. */
const SETTLE_MS = 50;
/**
 * How long output is still read after the command ended: it may arrive after the `exit` event.
 * Usually `close` comes sooner; it does not while a child of the command holds the output open.
 */
const LATE_OUTPUT_MS = 1_000;
/** How long a process may take to end after SIGKILL: at once, unless it is in a system call. */
const KILL_MS = 5_000;
/** Longer than any line that is looked for; only the beginning of a longer line is kept. */
const MAX_LINE_CHARACTERS = 1_024;
const TAIL_LINES = 10;
const TAIL_CHARACTERS = 4_096;

/**
 * @typedef {{ how: 'ended', exitCode: number | null, signal: string | null }} Ended
 * @typedef {Ended | { how: 'still running', kill: () => void } | { how: 'timed out' } | { how:
 * 'not started', problem: string }} Ending
 * @typedef {import('node:child_process').ChildProcess} ChildProcess
 * @typedef {import('node:stream').Readable} Readable
 * @typedef {(line: string) => boolean} LineListener
 */

/**
 * Runs a command and resolves with how it ended; never rejects. The command leads a session of its
 * own, so that its whole process group can be killed.
 * @param {readonly string[]} command
 * @param {number} timeoutMs
 * @param {LineListener} [onLine] called with each line of standard output; returns true for the
 * line that it waits for: a command that is still running then is detached
 * @returns {Promise<Ending & { stderrTail?: string }>} with the last lines of its standard error
 */
export async function run([program = '', ...args], timeoutMs, onLine) {
  /** @type {ChildProcess} */
  let child;
  try {
    child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', onLine ? 'pipe' : 'ignore', 'pipe'],
    });
  } catch (error) {
    return { how: 'not started', problem: textOf(error) };
  }
  const stderrTail = collectStderrTail(/** @type {Readable} */ (child.stderr));
  const lines = onLine ? listenForLines(/** @type {Readable} */ (child.stdout), onLine) : undefined;
  const clock = new AbortController();
  try {
    const ending = await endingOf(child, timeoutMs, lines, clock.signal);
    return { ...ending, stderrTail: stderrTail() };
  } finally {
    clock.abort();
    detach(child);
  }
}

/**
 * Resolves once the command has ended, is detached, or has been killed for taking too long.
 * @param {ChildProcess} child
 * @param {number} timeoutMs
 * @param {Lines | undefined} lines
 * @param {AbortSignal} signal stops the timers
 * @returns {Promise<Ending>}
 */
async function endingOf(child, timeoutMs, lines, signal) {
  const after = (/** @type {number} */ ms) => pause(ms, undefined, { signal });
  const closed = new Promise((resolve) => child.once('close', resolve));
  const exited = exitOf(child);
  /** @type {Promise<Ending>} */
  const timedOut = after(Math.min(timeoutMs, LONGEST_TIMER_MS)).then(() => ({ how: 'timed out' }));
  /** @type {Promise<Ending> | undefined} */
  const detached = lines?.heard
    .then(() => after(SETTLE_MS))
    .then(() => ({ how: 'still running', kill: () => killGroup(child) }));

  const ending = await Promise.race([exited, timedOut, ...(detached ? [detached] : [])]);
  if (ending.how === 'timed out') {
    killGroup(child);
    await Promise.race([exited, after(KILL_MS)]);
  } else if (ending.how === 'ended') {
    // Output that is in the pipes by now is read within a turn of the event loop.
    await nextTurn().then(() => nextTurn());
    const hasSaidAll = ending.exitCode === 0 && (lines === undefined || lines.hasHeard());
    const heard = ending.exitCode === 0 && lines ? [lines.heard] : [];
    if (!hasSaidAll) await Promise.race([closed, after(LATE_OUTPUT_MS), ...heard]);
    lines?.end();
  }
  return ending;
}

/** @param {ChildProcess} child @returns {Promise<Ending>} */
function exitOf(child) {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ how: 'ended', exitCode, signal }));
    child.once('error', (error) => resolve({ how: 'not started', problem: textOf(error) }));
  });
}

/**
 * Kills the command's process group, unless the command has been reaped: its number may belong to
 * another group then.
 * @param {ChildProcess} child
 */
function killGroup({ pid, exitCode, signalCode }) {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is gone, or now runs as another user.
  }
}

/**
 * Lets the host end although the command still runs. Its output goes on being read: its children
 * may write to the same pipes, and must neither block nor get SIGPIPE.
 * @param {ChildProcess} child
 */
function detach(child) {
  child.unref();
  for (const stream of [child.stdout, child.stderr]) {
    /** @type {import('node:net').Socket | null} */ (stream)?.unref?.();
  }
}

/**
 * @param {Readable} stream
 * @param {LineListener} onLine
 */
function listenForLines(stream, onLine) {
  let hasHeard = false;
  let isOver = false;
  let rest = '';
  /** @type {() => void} */
  let resolve = () => {};
  /** @type {Promise<void>} */
  const heard = new Promise((resolveHeard) => (resolve = resolveHeard));
  const take = (/** @type {string} */ line) => {
    if (!onLine(line)) return;
    hasHeard = true;
    resolve();
  };
  stream.setEncoding('latin1').on('data', (chunk) => {
    if (isOver) return;
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()?.slice(0, MAX_LINE_CHARACTERS) ?? '';
    lines.forEach(take);
  });
  stream.on('error', () => {});
  return {
    /** Resolves once the awaited line has come. */
    heard,
    hasHeard: () => hasHeard,
    /** Passes on a last line without a line break; later output is ignored. */
    end() {
      if (!isOver && rest !== '') take(rest);
      isOver = true;
    },
  };
}

/** @typedef {ReturnType<typeof listenForLines>} Lines */

/** @param {Readable} stream @returns {() => string} */
function collectStderrTail(stream) {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk) => (text = (text + chunk).slice(-TAIL_CHARACTERS)));
  stream.on('error', () => {});
  return () => text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}
