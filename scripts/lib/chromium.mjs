// The browser in which the dashboard is tested: one that is installed, or Debian's.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run, ScriptError } from './run.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** @returns {string | undefined} the path of its program; `CHROMIUM` names another one */
export function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const directories = (process.env.PATH ?? '').split(delimiter);
  return NAMES.flatMap((name) => directories.map((directory) => join(directory, name))).find(
    // Ubuntu has a file of this name that only says where to get the browser.
    (path) => existsSync(path) && spawnSync(path, ['--version']).status === 0,
  );
}

const canInstall = () => isDebian() && process.getuid?.() === 0;

/** Why the dashboard cannot be tested here, or undefined. In CI that is a failure, and no reason. */
export function whyNoChromium() {
  if (process.env.CI || canInstall() || findChromium() !== undefined) return undefined;
  return 'there is no chromium here: apt install chromium, or set CHROMIUM to the path of one';
}

export async function requireChromium() {
  if (findChromium() !== undefined) return;
  if (!canInstall()) throw new ScriptError('there is no chromium: set CHROMIUM to the path of one');
  console.log('› installing chromium (apt-get)');
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['-qq', 'update'], { env });
  const install = ['-qq', 'install', '--yes', '--no-install-recommends', 'chromium'];
  const { exitCode } = await run('apt-get', install, { env, collectStdout: true });
  if (exitCode !== 0) throw new ScriptError('apt-get could not install chromium');
}

function isDebian() {
  try {
    return /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'));
  } catch {
    return false;
  }
}
