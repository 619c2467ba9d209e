// Stops a tenant that ends slowly, and prints how it ended. Arguments: root, key, how long it may
// take.
import { createRuntime } from '@absolutejs/runtime';
import { say } from './words.mjs';

const [root = '', key = '', stopTimeoutMs = '0'] = process.argv.slice(2);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  stopTimeoutMs: Number(stopTimeoutMs),
  onLog: ({ line }) => say(line),
  onTransition: (event) => {
    if (event.type === 'exit') say('exit', { exitCode: event.exitCode, reason: event.reason });
  },
});
await runtime.ensure(key);
await runtime.kill(key);
await runtime.dispose();
