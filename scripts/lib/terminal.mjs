// What commands are tested in: a terminal (tmux), and the shells that have completions besides bash.
// They are installed, or Debian's.
import { spawnSync } from 'node:child_process';
import { canInstall, install } from './debian.mjs';
import { ScriptError } from './run.mjs';

const PROGRAMS = ['tmux', 'zsh', 'fish'];

const missing = () => PROGRAMS.filter((name) => spawnSync(name, ['--help']).error !== undefined);

/** Why commands cannot be tested here, or undefined. In CI that is a failure, and no reason. */
export function whyNoTerminal() {
  const names = missing();
  if (process.env.CI || canInstall() || names.length === 0) return undefined;
  return `what they are tested in is missing: apt install ${names.join(' ')}`;
}

export async function requireTerminal() {
  for (const name of missing()) {
    if (!canInstall()) throw new ScriptError(`there is no ${name}, in which commands are tested`);
    await install(name);
  }
}
