// Runs a shell script, ensures a tenant, prints the outcome, and ends. Arguments: root, shell
// script.
import { createRuntime } from '@absolutejs/runtime';
import { spawnSync } from 'node:child_process';
import { say } from './words.mjs';

const [root = '', script = ''] = process.argv.slice(2);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  command: ['sh', '-c', 'setsid sleep 1000 & exec sleep 1000'],
  readiness: async () => true,
});
if (spawnSync('sh', ['-c', script]).status !== 0) throw new Error(`not done: ${script}`);
await runtime.ensure('app').then(
  () => say('started'),
  ({ code, key, message }) => say('refused', { code, key, message }),
);
await runtime.kill('app');
await runtime.dispose();
say('disposed');
