// Adopts a running process, and does with it what its arguments say.
// Arguments: root, pid (or "parent"), what to do.
import { createRuntime } from '@absolutejs/runtime';
import { say, told } from './words.mjs';

const [root = '', of, what] = process.argv.slice(2);
const runtime = createRuntime({ source: { kind: 'directory', root }, idleAfterMs: 600_000 });
const pid = of === 'parent' ? process.ppid : Number(of);
say('adopted', await runtime.adopt('app', { pid }, { port: 4000 }));

switch (what) {
  case 'nothing':
    break;
  case 'wait':
    await told();
    break;
  case 'kill':
    await runtime.kill('app');
    say('killed');
    break;
  case 'dispose':
    await runtime.dispose();
    say('disposed');
    break;
  default:
    throw new Error(`asked to ${what}`);
}
