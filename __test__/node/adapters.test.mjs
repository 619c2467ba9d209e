import assert from 'node:assert/strict';
import { spawn as spawnChild } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { inMemory, rejectionOf, source, within } from '../support/surface/node.mjs';

const readiness = async () => true;

test('every method works detached from its object', async () => {
  const { spawn } = inMemory();
  const { ensure, touch, stats, kill, restart, clearBackoff, drain, dispose } = createRuntime({
    ...{ source, spawn, readiness },
  });
  const tenant = await ensure('a');
  touch('a');
  assert.equal(await ensure('a'), tenant);
  assert.notEqual(await restart('a'), tenant);
  await kill('a');
  clearBackoff('a');
  drain();
  assert.deepEqual(stats(), { running: 0, total: 0, draining: true, backoff: 0 });
  await dispose();
});

test('equality, JSON, spread and structuredClone see every field of a tenant', async () => {
  const { spawn } = inMemory();
  const runtime = createRuntime({ source, spawn, readiness });
  const tenant = await runtime.ensure('a');
  const { key, port, pid, startedAt, lastTouchedAt } = tenant;
  const expected = { key, port, pid, startedAt, lastTouchedAt };
  assert.deepEqual(tenant, expected);
  assert.deepEqual({ ...tenant }, expected);
  assert.deepEqual(structuredClone(tenant), expected);
  assert.equal(JSON.stringify(tenant), JSON.stringify(expected));
  assert.deepEqual(Object.keys(tenant), Object.keys(expected));

  while (Date.now() <= lastTouchedAt);
  runtime.touch('a');
  assert.ok(tenant.lastTouchedAt > lastTouchedAt);
  await runtime.dispose();
});

test('a process of node:child_process is started and killed', async () => {
  /** @type {unknown[]} */
  const exits = [];
  const runtime = createRuntime({
    source,
    onTransition: (event) => event.type === 'exit' && exits.push(event.reason),
    spawn: async ({ env }) => {
      const program = `require('http').createServer((_, r) => r.end()).listen(process.env.PORT, '127.0.0.1')`;
      const child = spawnChild(process.execPath, ['-e', program], { env, stdio: 'ignore' });
      await once(child, 'spawn');
      const exited = once(child, 'exit').then(([code]) => code);
      return { pid: child.pid ?? 0, exited, kill: (signal) => void child.kill(signal) };
    },
  });
  const { port } = await within('ready', runtime.ensure('a'));
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
  await within('dispose', runtime.dispose());
  assert.deepEqual(exits, ['disposed']);
});

test('what spawn, readiness and kill throw is passed on as the same object', async () => {
  const boom = new Error('boom');
  const fails = () => Promise.reject(boom);
  const options = { source, readiness, backoff: { baseMs: 0 } };
  assert.equal(await rejectionOf(createRuntime({ ...options, spawn: fails }).ensure('a')), boom);
  const { spawn, processes } = inMemory();
  assert.equal(
    await rejectionOf(createRuntime({ ...options, spawn, readiness: fails }).ensure('a')),
    boom,
  );

  const runtime = createRuntime({ ...options, spawn });
  await runtime.ensure('a');
  const process = /** @type {(typeof processes)[0]} */ (processes.at(-1));
  const { kill } = process;
  process.kill = fails;
  assert.equal(await rejectionOf(runtime.kill('a')), boom);
  const error = await rejectionOf(runtime.dispose());
  assert.ok(error instanceof AggregateError);
  assert.deepEqual(error.errors, [boom]);
  assert.match(error.message, /failed processes remain tracked/);
  process.kill = kill;
  await runtime.dispose();
});

test('capacity, back-off, drain and dispose refuse with the documented messages', async () => {
  const { spawn, processes } = inMemory();
  /** @type {import('@absolutejs/runtime').RuntimeTransitionEvent[]} */
  const events = [];
  const runtime = createRuntime({
    ...{ source, spawn, maxConcurrent: 1 },
    readiness: async ({ key }) => key !== 'bad',
    onTransition: (event) => void events.push(event),
  });
  await runtime.ensure('a');
  await runtime.ensure('b');
  assert.equal(events.filter(({ type }) => type === 'lru-evict').length, 1);
  await rejectionOf(runtime.ensure('bad'));
  const backingOff = await rejectionOf(runtime.ensure('bad'));
  assert.equal(backingOff.code, 'ERR_RUNTIME_BACKOFF');
  assert.match(
    backingOff.message,
    /^Tenant "bad" is backing off after 1 failure\(s\); retry in \d+ms\. Last error: /,
  );
  runtime.drain();
  const draining = await rejectionOf(runtime.ensure('c'));
  assert.equal(draining.message, 'runtime is draining; ensure() refused');
  await runtime.dispose();
  for (const call of [runtime.ensure, runtime.restart]) {
    const disposed = await rejectionOf(call('a'));
    assert.equal(disposed.message, 'runtime has been disposed');
    assert.equal(disposed.code, 'ERR_RUNTIME_DISPOSED');
  }
  await within('kill', runtime.kill('a'));
  assert.deepEqual(
    processes.map(({ key }) => key),
    ['a', 'b', 'bad'],
  );
});

test('an idle tenant is stopped', async () => {
  const { spawn } = inMemory();
  /** @type {(idleMs: number) => void} */
  let seen = () => {};
  /** @type {Promise<number>} */
  const idle = new Promise((resolve) => (seen = resolve));
  const runtime = createRuntime({
    ...{ source, spawn, readiness, idleAfterMs: 30, sweepIntervalMs: 10 },
    onTransition: (event) => event.type === 'idle-kill' && seen(event.idleMs),
  });
  await runtime.ensure('a');
  assert.ok((await within('idle-kill', idle)) >= 30);
  await runtime.dispose();
});
