// Blocks its JavaScript thread while tenants start, write, end and are being stopped; then prints
// all events. Arguments: root, how many milliseconds, the last line of `writes`.
import { createRuntime } from '@absolutejs/runtime';
import { say } from './words.mjs';

const [root = '', blockedMs = '0', lastLine = ''] = process.argv.slice(2);
/** @type {object[]} */
const told = [];
/** @type {Record<string, string[]>} */
const lines = {};
/** @type {() => void} */
let endWriting = () => {};
/** @type {Promise<void>} */
const hasWritten = new Promise((resolve) => (endWriting = resolve));
const runtime = createRuntime({
  source: { kind: 'directory', root },
  idleAfterMs: 0,
  stopTimeoutMs: 3_000,
  onLog({ key, line }) {
    (lines[key] ??= []).push(line);
    if (key === 'writes' && line === lastLine) endWriting();
  },
  onTransition: (event) => void told.push(event),
});

await Promise.all(['writes', 'ends', 'stays', 'stopped'].map((key) => runtime.ensure(key)));
// Both calls are made now, and are carried out while this thread is blocked.
const started = runtime.ensure('starts');
const killed = runtime.kill('stopped');
const until = performance.now() + Number(blockedMs);
while (performance.now() < until);
await killed;
// Lines may come after all that the runtime is waited for, and alone they keep no process alive.
const staysAlive = setInterval(() => {}, 60_000);
await hasWritten;
clearInterval(staysAlive);
const { port } = await started;
const body = await (await fetch(`http://127.0.0.1:${port}/`)).text();
say('unblocked', { body, told, lines, stats: runtime.stats() });
await runtime.dispose();
say('disposed');
