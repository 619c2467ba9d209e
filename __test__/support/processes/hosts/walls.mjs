// Starts tenants behind walls on request, and one without any; prints what it has in memory and in
// its environment that no tenant may know. Arguments: root, and as JSON the isolation of all
// tenants but `control`. It is told `<call> <key>` in lines, and disposes at `end`.
import { createRuntime } from '@absolutejs/runtime';
import { ptr } from 'bun:ffi';
import { createInterface } from 'node:readline';
import { say } from './words.mjs';

const [root = '', isolation = '{}'] = process.argv.slice(2);
const secret = Buffer.from(`${process.env.HOST_SECRET}`);

const runtime = createRuntime({
  source: { kind: 'directory', root },
  command: ['bun', 'server.ts'],
  idleAfterMs: 0,
  stopTimeoutMs: 500,
  isolation: (key) => (key === 'control' ? 'none' : JSON.parse(isolation)),
  onLog: (event) => say('line', event),
  onTransition: (event) => say(event.type, event),
});

/** @type {Record<string, (key: string) => unknown>} */
const calls = {
  ensure: runtime.ensure,
  kill: runtime.kill,
  inspect: runtime.inspect,
};

// Kept from being collected.
Object.assign(globalThis, { secret });
say('secret', String(ptr(secret)));
for await (const line of createInterface(process.stdin)) {
  if (line === 'end') break;
  const [id = '', call = '', key = ''] = line.split(' ');
  Promise.resolve()
    .then(() => calls[call]?.(key))
    .then(
      (answer) => say(id, { answer: answer ?? null }),
      ({ code, message }) => say(id, { error: `${code}: ${message}` }),
    );
}
process.stdin.destroy();
await runtime.dispose();
say('disposed');
