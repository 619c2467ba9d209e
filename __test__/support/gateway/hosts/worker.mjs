// A gateway in a worker. Prints its port; ends the worker when it is told to, and then says so.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  const [port] = await once(worker, 'message');
  console.log(port);
  await once(process.stdin, 'data');
  await worker.terminate();
  console.log('terminated');
  process.stdin.resume();
} else {
  const runtime = createRuntime({ source: { kind: 'directory', root: process.cwd() } });
  const gateway = createGateway({ runtime, route: { by: 'path' }, listen: { port: 0 } });
  const [address] = await gateway.listening;
  parentPort?.postMessage(address?.port);
}
