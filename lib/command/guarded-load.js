/**
 * Loads a file of the user's, which may never come to its end, or end the process. What it says is
 * worth no host: one that serves goes on without it.
 */
import { Worker } from 'node:worker_threads';
import { Failure } from './mistakes.js';

/** A file that says what holds has no reason to take longer. */
const LIMIT_MS = 10_000;
/** So much later a thread that is still held up by the file has not come to tell it by itself. */
const HELD_UP_MS = 1_000;

/**
 * The value of `load`. Until it is there `process.exit` is a failure of the file, and so is what is
 * thrown and caught by nothing.
 *
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} load
 * @param {boolean} isServing whether there is a host already
 * @returns {Promise<T>}
 */
export async function guardedLoad(path, load, isServing) {
  const { exit } = process;
  /** @type {(error: unknown) => void} */
  let fail = () => {};
  /** @type {Promise<never>} */
  const failed = new Promise((_, reject) => (fail = reject));
  const late = `${path} has not ended within ${LIMIT_MS / 1_000}s`;
  const timer = setTimeout(
    () => fail(new Failure(`${late}: it must not wait for what may not come.`, 'ERR_CONFIG')),
    LIMIT_MS,
  );
  const endWatch = watchThread(`${late}, and holds up its thread`, isServing);
  process.on('uncaughtException', fail);
  process.exit = (code) => {
    const given = code ?? '';
    const error = new Failure(`${path} ends the process, by process.exit(${given}).`, 'ERR_CONFIG');
    fail(error);
    // What comes after it in the file is not to be run.
    throw error;
  };
  try {
    return await Promise.race([load(), failed]);
  } finally {
    process.exit = exit;
    process.off('uncaughtException', fail);
    clearTimeout(timer);
    endWatch();
  }
}

/**
 * Has another thread look whether this one is held up. It says so, and ends a process that is no host
 * yet; one that is has tenants, which are served meanwhile.
 *
 * @param {string} text
 * @param {boolean} isServing
 * @returns {() => void} ends it
 */
function watchThread(text, isServing) {
  const ended = new Int32Array(new SharedArrayBuffer(4));
  const line = isServing
    ? `${text}: nothing is started or told meanwhile; SIGKILL ends the host, and its tenants.\n`
    : `${text}: ended.\n`;
  const workerData = { ended, line, isServing, pid: process.pid, ms: LIMIT_MS + HELD_UP_MS };
  const worker = new Worker(WATCH, { eval: true, workerData });
  worker.unref();
  return () => {
    Atomics.store(ended, 0, 1);
    Atomics.notify(ended, 0);
  };
}

/** From a thread beside it nothing ends a process whose main thread stands still but a signal. */
const WATCH = `
  const { ended, line, isServing, pid, ms } = require('node:worker_threads').workerData;
  if (Atomics.wait(ended, 0, 0, ms) === 'timed-out') {
    require('node:fs').writeSync(2, line);
    if (!isServing) process.kill(pid, 'SIGKILL');
  }
`;
