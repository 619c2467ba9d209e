// Waits for the last of some lines that a slow onLog gets, while nothing else happens in the
// process. Arguments: root, key, how many lines.
import { createRuntime } from '@absolutejs/runtime';
import { say } from './words.mjs';

const [root = '', key = '', count = '0'] = process.argv.slice(2);
const BUSY_MS = 2;
let seen = 0;
/** @type {(value?: unknown) => void} */
let onLast = () => {};
const last = new Promise((resolve) => (onLast = resolve));

const runtime = createRuntime({
  source: { kind: 'directory', root },
  command: ['sh', './start.sh'],
  onLog({ line }) {
    if (!line.startsWith('line ')) return;
    const until = performance.now() + BUSY_MS;
    while (performance.now() < until);
    if (++seen === Number(count)) onLast();
  },
});
const tenant = await runtime.ensure(key);
// Keeps the process alive.
const idle = setInterval(() => {}, 1_000_000);
say('waiting', tenant.pid);
await last;
say('seen', seen);
clearInterval(idle);
await runtime.dispose();
