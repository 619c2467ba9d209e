/**
 * What started the host, where that is npx, bunx, or a script of a package.json. npm ends at SIGTERM
 * with the shell that it has put in between, and passes nothing on: the host would go on unseen.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** How often it is looked whether that is still there: a read of a small file of /proc each. */
const LOOK_MS = 500;

/** The script is this command, and does not put it into the background on purpose. */
export const isForHost = (/** @type {string} */ script) =>
  /absolutejs[-/]runtime/.test(script) && !/(?<![&>])&(?![&>])/.test(script);

/**
 * Calls `gone` once if what started the host ends before it.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {(starter: string) => void} gone
 * @returns {() => void} ends it
 */
export function watchStarter(env, gone) {
  const { npm_lifecycle_event: event, npm_lifecycle_script: script = '' } = env;
  if (event === undefined || !isForHost(script)) return () => {};
  const parent = parentOf('self');
  const beyond = isShell(parent) ? parentOf(parent) : undefined;
  const timer = setInterval(() => {
    if (parentOf('self') === parent && (beyond === undefined || parentOf(parent) === beyond))
      return;
    clearInterval(timer);
    gone(/^(?:npx|bunx)$/.test(event) ? event : `npm run ${event}`);
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** @param {number | 'self' | undefined} pid @returns {number | undefined} if there is that process */
function parentOf(pid) {
  // The name of the program, in parentheses, may have any character.
  const [, parent] = /\) \S (\d+) [^)]*$/.exec(read(`/proc/${pid}/stat`)) ?? [];
  return parent === undefined ? undefined : Number(parent);
}

/** Whether it is a shell that runs one command. @param {number | undefined} pid */
function isShell(pid) {
  const [program = '', flag] = read(`/proc/${pid}/cmdline`).split('\0');
  return /^(?:ba|da)?sh$/.test(basename(program)) && flag === '-c';
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
