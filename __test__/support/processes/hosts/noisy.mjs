// One tenant writes short lines without end to a slow onLog; another starts and is stopped
// meanwhile. Arguments: root, key of the noisy tenant, key of the quiet one.
import { createRuntime } from '@absolutejs/runtime';
import { say } from './words.mjs';

const [root = '', noisy = '', quiet = ''] = process.argv.slice(2);
let busyMs = 0.2;
/** More than a turn has time for. */
const UNTIL_BEHIND = 20_000;
let lines = 0;
let previous = 0;
let isInOrder = true;
let linesAfterExit = 0;
let hasExited = false;
/** @type {(value?: unknown) => void} */
let onBehind = () => {};
const behind = new Promise((resolve) => (onBehind = resolve));

const runtime = createRuntime({
  source: { kind: 'directory', root },
  command: ['sh', './start.sh'],
  // So long that no stop is forced: then all lines come before the exit.
  stopTimeoutMs: 60_000,
  onLog({ key, line }) {
    if (key !== noisy || !/^\d+$/.test(line)) return;
    if (hasExited) linesAfterExit++;
    lines++;
    // The last one may have been cut off.
    isInOrder &&= previous === lines - 1;
    previous = Number(line);
    if (lines === UNTIL_BEHIND) onBehind();
    if (lines < UNTIL_BEHIND) return;
    const until = performance.now() + busyMs;
    while (performance.now() < until);
  },
  onTransition(event) {
    if (event.type === 'exit' && event.key === noisy) hasExited = true;
  },
});

/**
 * How many lines of the noisy tenant were delivered during `work`.
 * @param {() => Promise<unknown>} work
 */
async function linesDuring(work) {
  const before = lines;
  await work();
  return lines - before;
}

// Keeps the host alive, which output alone does not.
const alive = setInterval(() => {}, 1_000_000);
const { pid } = await runtime.ensure(noisy);
process.kill(pid, 'SIGUSR2');
await behind;
const duringEnsure = await linesDuring(() => runtime.ensure(quiet));
const duringKill = await linesDuring(() => runtime.kill(quiet));
busyMs = 0;
const seen = {
  duringEnsure,
  duringKill,
  untilItsOwnEnd: await linesDuring(() => runtime.kill(noisy)),
  lines,
  isInOrder,
  linesAfterExit,
};
clearInterval(alive);
await runtime.dispose();
say('seen', seen);
