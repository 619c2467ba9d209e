// What this machine needs so that another one can run in it.
import { spawnSync } from 'node:child_process';
import { install, isDebian } from '../debian.mjs';
import { platformTriple } from '../platform.mjs';

/** @typedef {import('./architectures.mjs').Architecture} Architecture */

/**
 * Why no machine can run in this one, or undefined.
 *
 * @param {Architecture} architecture
 * @returns {string | undefined}
 */
export function whatIsMissing(architecture) {
  if (platformTriple() !== 'linux-x64-gnu') return 'it is made for Linux on x64 with glibc';
  if (!isDebian()) return "its kernels are Debian's, and come through apt on Debian";
  for (const program of ['apt-get', 'apt-cache', 'dpkg']) {
    if (!isThere(program)) return `${program} is missing`;
  }
  if (!isThere(architecture.emulator) && process.getuid?.() !== 0) {
    const { emulator, emulatorPackage } = architecture;
    return `${emulator} is missing, and only root can install it: apt-get install ${emulatorPackage}`;
  }
  return undefined;
}

/** @param {Architecture} architecture */
export async function requireEmulator({ emulator, emulatorPackage }) {
  if (isThere(emulator)) return;
  await install(emulatorPackage);
}

/** @param {string} program */
const isThere = (program) => spawnSync(program, ['--version']).error === undefined;
