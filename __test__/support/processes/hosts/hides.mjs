// Starts tenants with daemons, runs a shell script on request, and ends them. Arguments: root,
// shell script.
import { createRuntime } from '@absolutejs/runtime';
import { spawnSync } from 'node:child_process';
import { say, told } from './words.mjs';

const [root = '', script = ''] = process.argv.slice(2);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  stopTimeoutMs: 500,
  command: ['sh', '-c', '(setsid sleep 1000 &); exec sleep 1000'],
  readiness: async () => true,
});
await Promise.all(['one', 'two'].map((key) => runtime.ensure(key)));
say('started');
await told();
if (spawnSync('sh', ['-c', script]).status !== 0) throw new Error(`not done: ${script}`);
await runtime.kill('one');
say('killed');
await runtime.dispose();
say('disposed');
