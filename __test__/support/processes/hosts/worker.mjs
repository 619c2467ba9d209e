// A runtime inside a worker that ends in the given way; then the main thread uses one of its own.
// Arguments: root, keys of the worker, key that takes its time, key of the main thread, how the
// worker ends.
import { createRuntime } from '@absolutejs/runtime';
import { Worker } from 'node:worker_threads';
import { say, told } from './words.mjs';

const [root = '', keys = '', slow = '', mainKey = '', how = ''] = process.argv.slice(2);
const worker = new Worker(new URL('./worker-thread.mjs', import.meta.url), {
  workerData: { root, keys: keys.split(','), slow },
});
worker.on('error', () => {});
const ended = new Promise((resolve) => worker.once('exit', resolve));
await new Promise((resolve) => worker.once('message', resolve));
say('up');

await new Promise((resolve) => {
  process.stdin.once('data', resolve);
});
if (how === 'terminate') await worker.terminate();
else worker.postMessage(how);
await ended;
say('worker ended');

await told();
const runtime = createRuntime({ source: { kind: 'directory', root } });
const tenant = await runtime.ensure(mainKey);
say('main', tenant);
await runtime.dispose();
