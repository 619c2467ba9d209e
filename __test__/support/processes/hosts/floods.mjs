// Reads a lot of output, and prints how many bytes came, whether in order, and the memory and time
// that it took. Arguments: root, key of the tenant, what to do besides ("start another", "slow
// lines" or nothing).
import { createRuntime } from '@absolutejs/runtime';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { say } from './words.mjs';

const [root = '', key = '', besides] = process.argv.slice(2);
const BUSY_MS = 1;

const seen = { lines: 0, bytes: 0, longestBytes: 0, linesAfterExit: 0, slowestTimerMs: 0 };
const hash = createHash('sha256');
let hasExited = false;
/** @type {(line: string) => void} */
let onErrorLine = () => {};
/** @type {string | undefined} */
let writersHash;

/** @param {string} field of /proc/self/status @returns {number} in MB */
const memoryMb = (field) => {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(status.match(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm'))?.[1]) / 1024;
};

const runtime = createRuntime({
  source: { kind: 'directory', root },
  command: ['bun', 'server.ts'],
  onLog({ key: from, stream, line }) {
    if (from !== key) return;
    if (stream === 'stderr') return onErrorLine(line);
    if (hasExited) seen.linesAfterExit++;
    seen.lines++;
    const bytes = Buffer.byteLength(line);
    seen.bytes += bytes;
    seen.longestBytes = Math.max(seen.longestBytes, bytes);
    hash.update(line);
    if (besides === 'slow lines') {
      const until = performance.now() + BUSY_MS;
      while (performance.now() < until);
    }
  },
  onTransition: (event) => {
    if (event.type === 'exit' && event.key === key) hasExited = true;
  },
});

// Warms up the engine, before memory is measured: a tenant that starts and ends, and some output.
await runtime.ensure('other');
await runtime.kill('other');
const tenant = await runtime.ensure(key);
const floodEnds = new Promise((resolve) => {
  onErrorLine = (line) => {
    writersHash = line;
    resolve(undefined);
  };
});
const baselineMb = memoryMb('VmRSS');

let lastTick = performance.now();
let ticks = 0;
const timer = setInterval(() => {
  const now = performance.now();
  seen.slowestTimerMs = Math.max(seen.slowestTimerMs, now - lastTick);
  lastTick = now;
  ticks++;
}, 5);

const startedAt = performance.now();
process.kill(tenant.pid, 'SIGUSR2');
let otherMs = 0;
if (besides === 'start another') {
  await new Promise((resolve) => {
    const look = setInterval(() => {
      if (seen.bytes < 1_000_000) return;
      clearInterval(look);
      resolve(undefined);
    }, 1);
  });
  const askedAt = performance.now();
  await runtime.ensure('other');
  otherMs = performance.now() - askedAt;
}
const bytesWhenOtherWasReady = seen.bytes;
await floodEnds;
// It has written everything; the last of it arrives before its exit.
await runtime.kill(key);
const tookMs = performance.now() - startedAt;
clearInterval(timer);
const grownMb = Math.max(memoryMb('VmHWM') - baselineMb, 0);
await runtime.dispose();
const isComplete = hash.digest('hex') === writersHash;
say('seen', { ...seen, isComplete, grownMb, otherMs, bytesWhenOtherWasReady, tookMs, ticks });
