// One worker that ends without disposing its runtime, and one that disposes it.
import { Worker } from 'node:worker_threads';

for (const workerData of ['left', 'disposed']) {
  const worker = new Worker(new URL('./worker-thread.mjs', import.meta.url), { workerData });
  worker.on('message', (message) => console.log(message));
  const code = await new Promise((resolve, reject) =>
    worker.once('error', reject).once('exit', resolve),
  );
  if (code !== 0) throw new Error(`the worker ended with code ${code}`);
}
