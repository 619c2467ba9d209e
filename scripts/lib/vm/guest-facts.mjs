// Run by Bun in the machine: prints what kind of machine it is, for the table of results.
import { dlopen } from 'bun:ffi';
import { readFileSync } from 'node:fs';
import { release } from 'node:os';

/** The same number on every processor. */
const LANDLOCK_CREATE_RULESET = 444;
const ASK_VERSION = 1;

const libc = dlopen('libc.so.6', {
  syscall: { args: ['i64', 'ptr', 'u64', 'u32'], returns: 'i64' },
});

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

const swap = read('/proc/swaps').split('\n').slice(1);
const landlock = Number(libc.symbols.syscall(LANDLOCK_CREATE_RULESET, null, 0, ASK_VERSION));
console.log(
  [
    `Linux ${release()}`,
    landlock > 0 ? `Landlock ${landlock}` : 'no Landlock',
    `control groups v2: ${read('/sys/fs/cgroup/delegated/cgroup.controllers')}`,
    `swap: ${swap.map((line) => line.split(/\s/)[0]).join() || 'none'}`,
  ].join('; '),
);
