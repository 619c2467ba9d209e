// What tests need of Debian is installed by root with apt-get.
import { readFileSync } from 'node:fs';
import { run, ScriptError } from './run.mjs';

export function isDebian() {
  try {
    return /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'));
  } catch {
    return false;
  }
}

export const canInstall = () => isDebian() && process.getuid?.() === 0;

/** @param {string} name of a package */
export async function install(name) {
  console.log(`› installing ${name} (apt-get)`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['-qq', 'update'], { env });
  const words = ['-qq', 'install', '--yes', '--no-install-recommends', name];
  const { exitCode } = await run('apt-get', words, { env, collectStdout: true });
  if (exitCode !== 0) throw new ScriptError(`apt-get could not install ${name}`);
}
