// The terminal in which commands are tested: tmux, which is installed or Debian's.
import { spawnSync } from 'node:child_process';
import { canInstall, install } from './debian.mjs';
import { ScriptError } from './run.mjs';

const isThere = () => spawnSync('tmux', ['-V']).error === undefined;

/** Why commands cannot be tested here, or undefined. In CI that is a failure, and no reason. */
export function whyNoTmux() {
  if (process.env.CI || canInstall() || isThere()) return undefined;
  return 'there is no tmux here: apt install tmux';
}

export async function requireTmux() {
  if (isThere()) return;
  if (!canInstall()) throw new ScriptError('there is no tmux, in which the commands are tested');
  await install('tmux');
}
