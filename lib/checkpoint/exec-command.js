/** Runs one command, without a shell and within its time, and listens to what it says. */
import { spawn } from 'node:child_process';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { textOf } from '../errors.js';
import { LONGEST_TIMER_MS } from '../tenant/ledger.js';

/** How soon a command fails that has said what was waited for and fails nevertheless. */
const SETTLE_MS = 50;
/**
 * What a command wrote before it ended may arrive after the news of its end. The end of its output says that there is
 * no more, unless something that it started holds the output open; then it has had this long.
 */
const LATE_OUTPUT_MS = 1_000;
/** SIGKILL ends a process at once, unless the kernel is in the middle of something for it. */
const KILL_MS = 5_000;
/** Longer than any line that matters; of longer ones the beginning is kept. */
const LONGEST_LINE = 1_024;
const LAST_LINES = 10;
const LAST_CHARACTERS = 4_096;

/**
 * @typedef {{ how: 'ended', exitCode: number | null, signal: string | null }} Ended
 * @typedef {Ended | { how: 'still running', kill: () => void } | { how: 'timed out' } | { how: 'not started', problem: string }} Ending
 * @typedef {import('node:child_process').ChildProcess} ChildProcess
 * @typedef {import('node:stream').Readable} Readable
 * @typedef {(line: string) => boolean} LineListener
 */

/**
 * Never rejects. The command leads a session of its own, so that it can be killed with its whole process group.
 * @param {readonly string[]} command
 * @param {number} timeoutMs
 * @param {LineListener} [onLine] gets the lines of its standard output. With `true` it says that this was what it
 * waited for: should the command go on, it is left to itself
 * @returns {Promise<Ending & { lastWords?: string }>} the last words are those of its standard error
 */
export async function run([program = '', ...args], timeoutMs, onLine) {
  /** @type {ChildProcess} */
  let child;
  try {
    child = spawn(program, args, { detached: true, stdio: ['ignore', onLine ? 'pipe' : 'ignore', 'pipe'] });
  } catch (error) {
    return { how: 'not started', problem: textOf(error) };
  }
  const lastWords = listenForLastWords(/** @type {Readable} */ (child.stderr));
  const lines = onLine ? listenForLines(/** @type {Readable} */ (child.stdout), onLine) : undefined;
  const clock = new AbortController();
  try {
    const ending = await endingOf(child, timeoutMs, lines, clock.signal);
    return { ...ending, lastWords: lastWords() };
  } finally {
    clock.abort();
    letGo(child);
  }
}

/**
 * @param {ChildProcess} child
 * @param {number} timeoutMs
 * @param {Lines | undefined} lines
 * @param {AbortSignal} signal stops the clocks
 * @returns {Promise<Ending>}
 */
async function endingOf(child, timeoutMs, lines, signal) {
  const after = (/** @type {number} */ ms) => pause(ms, undefined, { signal });
  const closed = new Promise((resolve) => child.once('close', resolve));
  const exited = exitOf(child);
  /** @type {Promise<Ending>} */
  const timedOut = after(Math.min(timeoutMs, LONGEST_TIMER_MS)).then(() => ({ how: 'timed out' }));
  /** @type {Promise<Ending> | undefined} */
  const leftAlone = lines?.heard
    .then(() => after(SETTLE_MS))
    .then(() => ({ how: 'still running', kill: () => killGroup(child) }));

  const ending = await Promise.race([exited, timedOut, ...(leftAlone ? [leftAlone] : [])]);
  if (ending.how === 'timed out') {
    killGroup(child);
    await Promise.race([exited, after(KILL_MS)]);
  } else if (ending.how === 'ended') {
    // What is in the pipes by now is read within a turn of the event loop.
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
 * Only while the command has not been reaped: later its number may be somebody else's.
 * @param {ChildProcess} child
 */
function killGroup({ pid, exitCode, signalCode }) {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is about to be reaped, or has become another user's.
  }
}

/**
 * From now on it does not keep the host alive. Its output goes on being read: what it started may write to it as well,
 * and must neither wait for a reader nor find that there is none.
 * @param {ChildProcess} child
 */
function letGo(child) {
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
    rest = lines.pop()?.slice(0, LONGEST_LINE) ?? '';
    lines.forEach(take);
  });
  stream.on('error', () => {});
  return {
    /** Resolves once what was waited for was said. */
    heard,
    hasHeard: () => hasHeard,
    /** Takes what is there of a last line, and nothing after it. */
    end() {
      if (!isOver && rest !== '') take(rest);
      isOver = true;
    },
  };
}

/** @typedef {ReturnType<typeof listenForLines>} Lines */

/** @param {Readable} stream @returns {() => string} */
function listenForLastWords(stream) {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk) => (text = (text + chunk).slice(-LAST_CHARACTERS)));
  stream.on('error', () => {});
  return () => text.trimEnd().split('\n').slice(-LAST_LINES).join('\n');
}
