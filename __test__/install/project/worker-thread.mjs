import { parentPort, workerData } from 'node:worker_threads';
import { createRuntime } from '@absolutejs/runtime';

const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
if (workerData === 'disposed') await runtime.dispose();
parentPort?.postMessage(workerData);
