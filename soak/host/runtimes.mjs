// The runtimes of a host, each with other options. To add one, add an entry.
import { spawn as spawnChild } from 'node:child_process';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from './ask.mjs';
import { keysOf, kindOf, kinds } from './kinds.mjs';

/** @typedef {import('@absolutejs/runtime').RuntimeOptions} RuntimeOptions */
/**
 * @typedef {{ tenant: string; root: string; run: string }} Place the compiled tenant, the
 * directory, the run's mark
 */

/** How long the own readiness check of the runtime `asked` waits. */
const OWN_READINESS_MS = 3_000;

/** The environment of a key's tenant. @param {Place} place @param {string} key */
export function variablesOf({ run }, key) {
  return {
    PATH: process.env.PATH ?? '',
    SOAK_RUN: run,
    SOAK_KEY: key,
    SOAK_DO: kindOf(key).does ?? '',
  };
}

/**
 * A process that no runtime has started.
 * @param {Place} place
 * @param {string} key
 * @param {Record<string, string>} env
 */
export function startOutside(place, key, env) {
  const child = spawnChild(place.tenant, [], {
    cwd: `${place.root}/${key}`,
    env,
    stdio: 'ignore',
    detached: true,
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () =>
      resolve({
        pid: child.pid ?? 0,
        exited: new Promise((settle) => child.once('exit', (code) => settle(code))),
        kill: (/** @type {NodeJS.Signals | undefined} */ signal) =>
          void child.kill(signal ?? 'SIGTERM'),
      }),
    );
  });
}

/** How many tenants have a user of their own. */
const USERS = kinds
  .filter(({ walls }) => walls === 'own user')
  .reduce((sum, kind) => sum + keysOf(kind).length, 0);

/** The users of a host's tenants: other hosts have others. @param {number} host its pid */
export const usersOf = (host) => ({ first: 2_000_000 + host * USERS, count: USERS });

/**
 * Limits and walls of a key.
 * @param {Place} place
 * @param {string} key
 * @returns {import('@absolutejs/runtime').TenantSettings}
 */
function confinementOf({ tenant }, key) {
  const { limits, walls, files } = kindOf(key);
  const isOfItsOwn = walls === 'own user' && process.getuid?.() === 0;
  const user = isOfItsOwn ? { user: usersOf(process.pid) } : {};
  return {
    ...(limits && { limits }),
    ...(walls && {
      isolation: {
        read: [dirname(tenant)],
        enforce: /** @type {const} */ ('best-effort'),
        ...user,
      },
    }),
    ...(files && { command: ['bun', 'run', 'start'] }),
  };
}

/** @param {{ port: number }} args */
async function answersSoon({ port }) {
  const deadline = performance.now() + OWN_READINESS_MS;
  while (performance.now() < deadline) {
    try {
      await ask(port);
      return true;
    } catch {
      await delay(10);
    }
  }
  const error = Object.assign(new Error('not in time'), { code: 'ERR_RUNTIME_READINESS_TIMEOUT' });
  throw error;
}

/** @type {Record<string, (place: Place) => Partial<RuntimeOptions>>} */
export const runtimes = {
  steady: ({ tenant }) => ({ command: [tenant], maxConcurrent: 1_000, observeIntervalMs: 200 }),
  crowded: ({ tenant }) => ({ command: [tenant], maxConcurrent: 6 }),
  idle: ({ tenant }) => ({
    command: [tenant],
    idleAfterMs: 100,
    sweepIntervalMs: 50,
    idle: 'connections',
    shouldIdleKill: async ({ key, idleMs }) => !key.endsWith('-1') || Math.round(idleMs) % 2 === 0,
    observeIntervalMs: 100,
  }),
  asked: ({ tenant }) => ({ command: [tenant], readiness: answersSoon }),
  own: (place) => ({
    spawn: ({ key, env }) => startOutside(place, key, env),
    observeIntervalMs: 200,
  }),
  adopting: () => ({ idleAfterMs: 2_000, sweepIntervalMs: 500 }),
  confined: (place) => ({
    command: [place.tenant],
    tenant: (key) => confinementOf(place, key),
    observeIntervalMs: 200,
  }),
  bun: () => ({ maxConcurrent: 8, idleAfterMs: 3_000, sweepIntervalMs: 500 }),
};

/** The options of all runtimes. @param {Place} place @returns {RuntimeOptions} */
export const common = (place) => ({
  source: { kind: 'directory', root: place.root },
  env: (key) => variablesOf(place, key),
  stopTimeoutMs: 300,
  backoff: { baseMs: 1, maxMs: 20, maxFailures: 6 },
});
