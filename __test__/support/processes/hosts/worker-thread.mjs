// The worker of worker.mjs.
import { createRuntime } from '@absolutejs/runtime';
import { parentPort, workerData } from 'node:worker_threads';

const runtime = createRuntime({ source: { kind: 'directory', root: workerData.root }, onLog() {} });
parentPort?.on('message', (how) => {
  if (how === 'process.exit') process.exit(0);
  if (how === 'uncaught error') throw new Error('not caught');
  // A natural end: the worker has nothing left but running tenants.
  if (how === 'natural end') parentPort?.close();
});
await Promise.all(workerData.keys.map((/** @type {string} */ key) => runtime.ensure(key)));
if (workerData.slow) {
  const starting = runtime.ensure(workerData.slow);
  starting.catch(() => {});
}
parentPort?.postMessage('up');
