/**
 * Starts and stops one real tenant in a process of its own, so that a crash there does not end the
 * doctor.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Trial
 * @property {number} [readyMs] from the call to the tenant that answers; set when all went well
 * @property {string} [failure] why it did not
 * @property {boolean} asksKernel whether the kernel could be asked for listening ports
 * (`sock_diag`)
 */

/** The tenant has 30 s to answer; its host, some more to report it. */
const TRIAL_TIMEOUT_MS = 45_000;
const TRIAL_HOST = fileURLToPath(new URL('trial-host.js', import.meta.url));

/** The tenant's program, which runs in Node and in Bun. */
export const TRIAL_SERVER = 'server.mjs';
const SERVER_PROGRAM = `
import { createServer } from 'node:http';
createServer((request, response) => response.end('ok')).listen(Number(process.env.PORT), '127.0.0.1');
`;

/**
 * @param {string[] | undefined} command instead of the default, `bun run start`
 * @returns {Promise<Trial>}
 */
export async function startTrialTenant(command) {
  let directory;
  try {
    directory = mkdtempSync(join(tmpdir(), `absolutejs-doctor-${process.pid}-`));
    const tenant = join(directory, 'trial');
    mkdirSync(tenant);
    writeFileSync(join(tenant, TRIAL_SERVER), SERVER_PROGRAM);
    writeFileSync(
      join(tenant, 'package.json'),
      JSON.stringify({ type: 'module', scripts: { start: `bun ${TRIAL_SERVER}` } }),
    );
    return await runTrialHost([directory, JSON.stringify(command ?? null)]);
  } catch (error) {
    return { failure: String(error), asksKernel: true };
  } finally {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

/** @param {string[]} args @returns {Promise<Trial>} */
function runTrialHost(args) {
  const env = { ...process.env, ABSOLUTE_RUNTIME_LOG: 'info' };
  const child = spawn(process.execPath, [TRIAL_HOST, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TRIAL_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  let answer = '';
  let log = '';
  child.stdout.on('data', (data) => (answer += data));
  child.stderr.on('data', (data) => (log += data));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ failure: error.message, asksKernel: true }));
    child.once('close', (code, signal) => {
      const asksKernel = !log.includes('sock_diag is not available');
      resolve({ ...(parsed(answer) ?? { failure: endingInWords(code, signal, log) }), asksKernel });
    });
  });
}

/** @param {string} answer @returns {{ readyMs: number } | { failure: string } | undefined} */
function parsed(answer) {
  try {
    return JSON.parse(answer);
  } catch {
    return undefined;
  }
}

/** @param {number | null} code @param {string | null} signal @param {string} log */
function endingInWords(code, signal, log) {
  const ending = signal === null ? `exit code ${code}` : signal;
  return `the trial host ended with ${ending} before it had an answer\n${log.trim()}`.trim();
}
