// The browser in which pages are tested: one that is installed, or Debian's.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { canInstall, install } from './debian.mjs';
import { ScriptError } from './run.mjs';

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

/** Why pages cannot be tested here, or undefined. In CI that is a failure, and no reason. */
export function whyNoChromium() {
  if (process.env.CI || canInstall() || findChromium() !== undefined) return undefined;
  return 'there is no chromium here: apt install chromium, or set CHROMIUM to the path of one';
}

export async function requireChromium() {
  if (findChromium() !== undefined) return;
  if (!canInstall()) throw new ScriptError('there is no chromium: set CHROMIUM to the path of one');
  await install('chromium');
}
