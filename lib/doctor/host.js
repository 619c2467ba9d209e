/**
 * The host that is examined: all that the checks may look at. Tests pass hosts of their own.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { native } from '../bridge/native.js';
import { readFacts } from './facts.js';
import { startTrialTenant } from './trial.js';
import { lookAtAll } from '../survive/names.js';

/**
 * @typedef {object} Host
 * @property {string} platform
 * @property {string} arch
 * @property {number} uid
 * @property {number} cores that this process may use
 * @property {string} execPath
 * @property {string} nodeVersion what the engine says it is compatible with
 * @property {string | undefined} bunVersion set when the engine is Bun
 * @property {Record<string, string | undefined>} env
 * @property {(path: string) => string | undefined} read a file's text; undefined when it cannot be
 * read
 * @property {(path: string) => boolean} exists
 * @property {(path: string) => boolean} isExecutable
 * @property {(program: string, args: string[]) => string | undefined} outputOf trimmed stdout;
 * undefined when it failed
 * @property {() => { wardenPath: string }} loadAddon throws when there is none that loads
 * @property {() => import('./facts.js').Facts | undefined} facts as of now; undefined when there
 * is no addon that loads
 * @property {(command: string[] | undefined) => Promise<import('./trial.js').Trial>} startTenant
 * @property {() => Promise<import('../survive/names.js').Owned[]>} owned the names whose tenants
 * outlive their host
 * @property {(ms: number) => Promise<void>} pause
 */

const VERSION_TIMEOUT_MS = 10_000;

/** @returns {Host} this machine, as this process sees it */
export function thisHost() {
  return {
    platform: process.platform,
    arch: process.arch,
    uid: process.getuid?.() ?? -1,
    // Node 16 does not have it, and is to get as far as the message that it is too old.
    cores: os.availableParallelism?.() ?? os.cpus().length,
    execPath: process.execPath,
    nodeVersion: process.versions.node,
    bunVersion: process.versions.bun,
    env: process.env,
    read: (path) => attempt(() => readFileSync(path, 'utf8')),
    exists: existsSync,
    isExecutable: (path) => attempt(() => (accessSync(path, constants.X_OK), true)) ?? false,
    outputOf,
    loadAddon: native,
    facts: readFacts,
    startTenant: startTrialTenant,
    owned: () => lookAtAll(process.env),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  };
}

/** @param {string} program @param {string[]} args */
function outputOf(program, args) {
  const { status, stdout } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: VERSION_TIMEOUT_MS,
  });
  return status === 0 ? stdout.trim() : undefined;
}

/** @template T @param {() => T} look @returns {T | undefined} */
function attempt(look) {
  try {
    return look();
  } catch {
    return undefined;
  }
}
