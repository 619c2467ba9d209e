// Starts a tenant, prints when its process exists, and then whether it became ready. Arguments:
// root, key, how long it may take.
import { createRuntime } from '@absolutejs/runtime';
import { say } from './words.mjs';

const [root = '', key = '', timeoutMs] = process.argv.slice(2);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  readinessTimeoutMs: Number(timeoutMs),
  onTransition: ({ type }) => type === 'spawn' && say('spawned'),
});
const outcome = await runtime.ensure(key).then(
  () => 'ready',
  (error) => error.code,
);
say('outcome', outcome);
await runtime.dispose();
