// Starts tenants where there are hardly any ports. Reads `start <key>`, `kill <key>`, `cycle <key>
// <times>` and `end`; prints the outcome of each, and how many keys back off. Argument: root.
import { createRuntime } from '@absolutejs/runtime';
import { createInterface } from 'node:readline';
import { say } from './words.mjs';

const runtime = createRuntime({
  source: { kind: 'directory', root: process.argv[2] ?? '' },
  command: ['bun', 'server.ts'],
  stopTimeoutMs: 0,
});
/** @param {string} key */
const start = (key) =>
  runtime.ensure(key).then(
    () => 'ready',
    (error) => error.code,
  );
for await (const line of createInterface(process.stdin)) {
  const [word, key = '', times] = line.split(' ');
  if (word === 'end') break;
  let outcome = 'done';
  if (word === 'start') outcome = await start(key);
  if (word === 'kill') await runtime.kill(key);
  for (let time = 0; word === 'cycle' && time < Number(times); time++) {
    outcome = await start(key);
    if (outcome !== 'ready') break;
    await runtime.kill(key);
  }
  say(line, [outcome, runtime.stats().backoff]);
}
process.stdin.destroy();
await runtime.dispose();
