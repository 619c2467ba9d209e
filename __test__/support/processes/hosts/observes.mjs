// Starts a tenant, prints its lines and its first observation with some memory, and disposes on
// request. Arguments: root, key.
import { createRuntime } from '@absolutejs/runtime';
import { say, told } from './words.mjs';

const [root = '', key = ''] = process.argv.slice(2);
let isObserved = false;
const runtime = createRuntime({
  source: { kind: 'directory', root },
  observeIntervalMs: 20,
  onLog: ({ line }) => say('line', line),
  onMetrics(event) {
    if (isObserved || event.type !== 'observation' || event.rssBytes === 0) return;
    isObserved = true;
    say('observed', event);
  },
});
await runtime.ensure(key);
say('ready', process.getuid?.());
await told();
await runtime.dispose();
say('disposed');
