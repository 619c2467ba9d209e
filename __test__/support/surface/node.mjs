// Support for the tests in Node: tenants on disk, tenants in memory, and other Node processes.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {import('@absolutejs/runtime').RuntimeOptions} RuntimeOptions */
/** @typedef {import('@absolutejs/runtime').RuntimeProcess} RuntimeProcess */
/** @typedef {import('node:test').TestContext} TestContext */

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** PATH with the checkout's `bun`, which may be the only one on this machine. */
export const PATH = [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter);
export const source = /** @type {const} */ ({ kind: 'directory', root: 'tenants' });

/**
 * The promise's outcome; rejects with what was awaited if it does not settle in time.
 * @template T
 * @param {string} what
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function within(what, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), 20_000);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * The reason that the promise rejects with.
 * @param {Promise<unknown>} promise
 * @returns {Promise<any>}
 */
export async function rejectionOf(promise) {
  const settled = await within(
    'a rejection',
    promise.then(
      (value) => ({ value }),
      (error) => ({ error }),
    ),
  );
  if ('error' in settled) return settled.error;
  throw new Error(`resolved with ${String(settled.value)} instead of rejecting`);
}

/**
 * A directory of tenants, gone after the test: for each key its files.
 * @param {TestContext} context
 * @param {Record<string, Record<string, string>>} tenants
 */
export function tenantsOnDisk(context, tenants) {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-node-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [key, files] of Object.entries(tenants)) {
    for (const [name, content] of Object.entries(files)) {
      const file = join(directory, key, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  }
  return directory;
}

/** Processes in memory, latest last, and the `spawn` that makes them. */
export function inMemory() {
  /**
   * @type {(RuntimeProcess & { key: string, kills: unknown[], exit: (code: number | null) => void
   * })[]}
   */
  const processes = [];
  /** @type {import('@absolutejs/runtime').SpawnFn} */
  const spawnInMemory = async ({ key }) => {
    /** @type {(code: number | null) => void} */
    let exit = () => {};
    /** @type {Promise<number | null>} */
    const exited = new Promise((resolve) => (exit = resolve));
    /** @type {unknown[]} */
    const kills = [];
    const kill = (/** @type {unknown} */ signal) => (kills.push(signal), exit(null));
    processes.push({ key, pid: 2 ** 30 + processes.length, exited, kill, kills, exit });
    return /** @type {RuntimeProcess} */ (processes.at(-1));
  };
  return { processes, spawn: spawnInMemory };
}

/**
 * Runs a program in a Node process of its own, and resolves with how it ended.
 * @param {string} program an ES module
 * @returns {Promise<{ code: number | null, output: string }>}
 */
export function runNode(program) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    env: { ...process.env, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const ended = new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
  return within(`the end of a Node process`, ended).catch((error) => {
    child.kill('SIGKILL');
    throw new Error(`${error.message}; its output: ${output}`);
  });
}
