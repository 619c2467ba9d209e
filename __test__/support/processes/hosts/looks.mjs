// Starts a tenant and prints the types of its transitions, and each observation.
// Arguments: root, key.
import { createRuntime } from '@absolutejs/runtime';
import { say, told } from './words.mjs';

const [root = '', key = ''] = process.argv.slice(2);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  idle: 'connections',
  idleAfterMs: 1_000,
  sweepIntervalMs: 1_000,
  observeIntervalMs: 1_000,
  onMetrics: ({ type }) => type === 'observation' && say('observed'),
  onTransition: ({ type }) => say(type),
});
await runtime.ensure(key);
say('up');
await told();
