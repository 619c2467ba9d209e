// The terminal in which commands are tested: tmux, which is installed or Debian's.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { run, ScriptError } from './run.mjs';

const isThere = () => spawnSync('tmux', ['-V']).error === undefined;
const canInstall = () => isDebian() && process.getuid?.() === 0;

/** Why commands cannot be tested here, or undefined. In CI that is a failure, and no reason. */
export function whyNoTmux() {
  if (process.env.CI || canInstall() || isThere()) return undefined;
  return 'there is no tmux here: apt install tmux';
}

export async function requireTmux() {
  if (isThere()) return;
  if (!canInstall()) throw new ScriptError('there is no tmux, in which the commands are tested');
  console.log('› installing tmux (apt-get)');
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['-qq', 'update'], { env });
  const install = ['-qq', 'install', '--yes', '--no-install-recommends', 'tmux'];
  const { exitCode } = await run('apt-get', install, { env, collectStdout: true });
  if (exitCode !== 0) throw new ScriptError('apt-get could not install tmux');
}

function isDebian() {
  try {
    return /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'));
  } catch {
    return false;
  }
}
