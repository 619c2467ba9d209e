// Metrics, inspect, list, adopt and signals in Node. The tests in Bun show them at length.
import assert from 'node:assert/strict';
import { spawn as spawnChild } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createRuntime } from '@absolutejs/runtime';
import {
  inMemory,
  PATH,
  rejectionOf,
  source,
  tenantsOnDisk,
  within,
} from '../support/surface/node.mjs';

const readiness = async () => true;

test('metrics, inspect and list agree with the events, within callbacks and after dispose', async () => {
  const { spawn, processes } = inMemory();
  /** @type {string[]} */
  const seen = [];
  const runtime = createRuntime({
    ...{ source, spawn },
    readiness: async ({ key }) => key !== 'bad',
    onTransition(event) {
      if (event.type === 'drain' || event.type === 'detach') return;
      const { totalSpawns, totalExits } = runtime.metrics();
      const exits = Object.values(totalExits).reduce((sum, count) => sum + count, 0);
      seen.push(
        `${event.type} ${runtime.inspect(event.key)?.state ?? 'nothing'} ${totalSpawns} ${exits}`,
      );
    },
  });
  const { lastSpawnMs, totalExits } = runtime.metrics();
  assert.deepEqual([lastSpawnMs, Object.values(totalExits)], [0, Array(12).fill(0)]);
  const { pid, port } = await runtime.ensure('a');
  await rejectionOf(runtime.ensure('bad'));
  assert.deepEqual(seen, [
    'spawn spawning 1 0',
    'ready ready 1 0',
    'spawn spawning 2 0',
    'exit backing-off 2 1',
  ]);
  assert.deepEqual(
    runtime.list().map(({ key, state, pid, port }) => ({ key, state, pid, port })),
    [
      { key: 'a', state: 'ready', pid, port },
      { key: 'bad', state: 'backing-off', pid: null, port: null },
    ],
  );
  assert.equal(runtime.inspect('unknown'), null);
  await runtime.dispose();
  assert.equal(processes.length, 2);
  const { uptimeMs, ...after } = runtime.metrics();
  assert.equal(typeof after.lastSpawnMs, 'number');
  assert.deepEqual([after.totalSpawns, after.totalBackoffEntries, after.backoff], [2, 1, 1]);
  assert.deepEqual([after.totalExits.disposed, after.totalExits['readiness-timeout']], [1, 1]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(runtime.metrics().uptimeMs, uptimeMs);
});

/** @param {import('node:test').TestContext} context */
function adopting(context) {
  /** @type {import('@absolutejs/runtime').RuntimeTransitionEvent[]} */
  const events = [];
  /** @type {() => void} */
  let seen = () => {};
  /** @type {Promise<void>} */
  const exited = new Promise((resolve) => (seen = resolve));
  const runtime = createRuntime({
    ...{ source, idleAfterMs: 0 },
    onTransition: (event) => (events.push(event), event.type === 'exit' && seen()),
  });
  context.after(() => runtime.dispose());
  return { runtime, events, exited };
}

test('a process is adopted by its pid, and killed with its group', async (context) => {
  const { runtime, events } = adopting(context);
  const child = spawnChild('sh', ['-c', 'sleep 1000 & echo $!; wait'], {
    ...{ detached: true, stdio: ['ignore', 'pipe', 'inherit'] },
  });
  const [helper] = await once(child.stdout, 'data').then(String);
  assert.ok(helper);
  const ended = once(child, 'close');
  const tenant = await runtime.adopt('a', { pid: child.pid ?? 0 }, { port: 4000 });
  assert.equal(await runtime.ensure('a'), tenant);
  await within('kill', runtime.kill('a'));
  // Its output is closed once the last process of the group has ended.
  await within('the end of the group', ended);
  assert.deepEqual(events, [
    { type: 'adopt', key: 'a', pid: child.pid, port: 4000 },
    { type: 'exit', key: 'a', pid: child.pid, exitCode: null, reason: 'killed' },
  ]);
});

test('the end of an adopted child is seen by itself', async (context) => {
  const { runtime, events, exited } = adopting(context);
  const child = spawnChild('sh', ['-c', 'read word'], { stdio: ['pipe', 'ignore', 'inherit'] });
  await runtime.adopt('a', { pid: child.pid ?? 0 }, { port: 4000 });
  child.stdin.end();
  await within('exit', exited);
  assert.equal(events.at(-1)?.type, 'exit');
  assert.equal(runtime.inspect('a')?.state, 'stopped');
});

test('adopt refuses what cannot be a tenant, and a key that has one', async (context) => {
  const { runtime } = adopting(context);
  const child = spawnChild('sleep', ['1000'], { stdio: 'ignore' });
  context.after(() => child.kill('SIGKILL'));
  const { pid = 0 } = child;
  await runtime.adopt('a', { pid }, { port: 4000 });
  for (const [key, processLike, options, code] of /** @type {[string, any, any, string][]} */ ([
    ['a', { pid }, { port: 4000 }, 'ERR_RUNTIME_ALREADY_REGISTERED'],
    ['b', { pid }, { port: -1 }, 'ERR_RUNTIME_INVALID_OPTION'],
    ['b', { pid: process.pid }, { port: 4000 }, 'ERR_RUNTIME_SPAWN'],
    ['b', { pid: 1 }, { port: 4000 }, 'ERR_RUNTIME_SPAWN'],
    ['b', { pid: 2 ** 31 - 1 }, { port: 4000 }, 'ERR_RUNTIME_SPAWN'],
    ['b', { pid }, { port: 4000, startedAt: Date.now() - 60_000 }, 'ERR_RUNTIME_SPAWN'],
    ['..', { pid }, { port: 4000 }, 'ERR_RUNTIME_INVALID_KEY'],
  ])) {
    assert.equal((await rejectionOf(runtime.adopt(key, processLike, options))).code, code);
  }
  runtime.drain();
  const error = await rejectionOf(runtime.adopt('b', { pid }, { port: 4000 }));
  assert.equal(error.message, 'runtime is draining; adopt() refused');
  assert.equal(child.exitCode ?? child.signalCode, null);
});

const holdsPidfd = (/** @type {string} */ fd) => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).includes('pidfd');
  } catch {
    return false;
  }
};

test('a terminated worker releases the keys and pids that it had adopted', async (context) => {
  const { runtime } = adopting(context);
  const children = [1, 2].map(() => spawnChild('sleep', ['1000'], { stdio: 'ignore' }));
  context.after(() => children.forEach((child) => child.kill('SIGKILL')));
  const [pid = 0, other = 0] = children.map((child) => child.pid);
  // Keeps the state that the two runtimes share.
  await runtime.adopt('a', { pid }, { port: 4000 });
  const held = () => readdirSync('/proc/self/fd').filter(holdsPidfd).length;
  const before = held();
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.url)
      .then(({ createRuntime }) => createRuntime({ source: { kind: 'directory', root: '.' } }))
      .then((runtime) => runtime.adopt('a', { pid: workerData.pid }, { port: 4001 }))
      .then(() => parentPort.postMessage('adopted'));
    setInterval(() => {}, 1e9);`;
  const url = import.meta.resolve('@absolutejs/runtime');
  const worker = new Worker(program, { eval: true, workerData: { url, pid: other } });
  await within('adopted', once(worker, 'message'));
  assert.ok(held() > before);
  await worker.terminate();
  const given = async () => {
    while (held() > before) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await within('its descriptors are given back', given());
  assert.equal(children[1]?.signalCode, null);
});

test('an abort ends the wait, and the start unless another caller waits for it', async (context) => {
  const root = tenantsOnDisk(context, {
    app: { 'package.json': JSON.stringify({ scripts: { start: 'sleep 1000' } }) },
  });
  /** @type {unknown[]} */
  const exits = [];
  /** @type {() => void} */
  let spawned = () => {};
  /** @type {Promise<void>} */
  const isThere = new Promise((resolve) => (spawned = resolve));
  const runtime = createRuntime({
    source: { kind: 'directory', root },
    env: { PATH },
    onTransition(event) {
      if (event.type === 'spawn') spawned();
      if (event.type === 'exit') exits.push(event.reason);
    },
  });
  context.after(() => runtime.dispose());
  const controller = new AbortController();
  const pending = runtime.ensure('app', { signal: controller.signal });
  const other = runtime.ensure('app', { signal: AbortSignal.abort('never mind') });
  assert.equal((await rejectionOf(other)).cause, 'never mind');
  await within('spawn', isThere);
  controller.abort();
  const error = await rejectionOf(pending);
  assert.deepEqual([error.name, error.code], ['AbortError', 'ERR_RUNTIME_ABORTED']);
  assert.equal(error.cause, controller.signal.reason);
  await within('the end', runtime.kill('app'));
  assert.deepEqual(exits, ['killed']);
  assert.equal(runtime.metrics().totalBackoffEntries, 0);
  const wrong = await rejectionOf(
    runtime.ensure('app', /** @type {any} */ ({ signal: controller })),
  );
  assert.equal(wrong.code, 'ERR_RUNTIME_INVALID_OPTION');
});
