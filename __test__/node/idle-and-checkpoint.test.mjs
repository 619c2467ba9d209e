import assert from 'node:assert/strict';
import { spawn as spawnChild } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { inMemory, source, tenantsOnDisk, within } from '../support/surface/node.mjs';

/** @typedef {import('@absolutejs/runtime').RuntimeOptions} RuntimeOptions */
/** @typedef {import('@absolutejs/runtime').RuntimeTransitionEvent} RuntimeTransitionEvent */
/** @typedef {import('@absolutejs/runtime').CheckpointDriver} CheckpointDriver */

const SERVER = `
  const answer = process.env.RESTORED ?? process.env.TRACEPARENT ?? 'cold';
  require('http').createServer((_, response) => response.end(answer)).listen(process.env.PORT, '127.0.0.1');
`;

/** Starts a server in Node. @type {import('@absolutejs/runtime').SpawnFn} */
const spawn = async ({ env, cwd }) => {
  const child = spawnChild(process.execPath, ['-e', SERVER], { env, cwd, stdio: 'ignore' });
  await once(child, 'spawn');
  const exited = once(child, 'exit').then(([code]) => code);
  return { pid: child.pid ?? 0, exited, kill: (signal) => void child.kill(signal) };
};

/** Transitions, and a promise for the next of a type. */
function recorder() {
  /** @type {RuntimeTransitionEvent[]} */
  const events = [];
  /** @type {Set<() => void>} */
  const watchers = new Set();
  const onTransition = (/** @type {RuntimeTransitionEvent} */ event) => {
    events.push(event);
    watchers.forEach((watcher) => watcher());
  };
  const seen = (/** @type {string} */ type, count = 1) =>
    within(
      type,
      new Promise((resolve) => {
        const watcher = () => {
          const found = events.filter((event) => event.type === type)[count - 1];
          if (found) resolve(found);
        };
        watchers.add(watcher);
        watcher();
      }),
    );
  return { events, onTransition, seen };
}

/**
 * The tenant's answer, over a connection that is closed afterwards.
 * @param {{ port: number }} tenant
 */
const answerOf = async ({ port }) =>
  (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).text();

test('shouldIdleKill is asked until it says true, and not while it has not answered', async () => {
  const { onTransition, seen, events } = recorder();
  let questions = 0;
  let open = 0;
  const runtime = createRuntime({
    ...{ source, spawn: inMemory().spawn, readiness: async () => true, onTransition },
    ...{ idleAfterMs: 20, sweepIntervalMs: 10 },
    shouldIdleKill: async ({ idleMs, key, tenant }) => {
      assert.equal(++open, 1);
      assert.ok(idleMs >= 20);
      assert.equal(tenant.key, key);
      await new Promise((resolve) => setTimeout(resolve, 30));
      open -= 1;
      if (++questions === 2) throw new Error('who knows');
      return questions === 3;
    },
  });
  await runtime.ensure('a');
  await seen('exit');
  assert.deepEqual(
    events.map(({ type }) => type),
    ['spawn', 'ready', 'idle-kill', 'exit'],
  );
  assert.equal(questions, 3);
  await runtime.dispose();
});

test('an open connection keeps a tenant, which is stopped once it is closed', async (context) => {
  const { onTransition, seen, events } = recorder();
  const root = tenantsOnDisk(context, { a: { 'x.txt': '' } });
  const runtime = createRuntime({
    ...{ source: { kind: 'directory', root }, spawn, onTransition },
    ...{ idle: 'connections', idleAfterMs: 200, sweepIntervalMs: 50 },
  });
  context.after(() => runtime.dispose());
  const { port } = await within('ready', runtime.ensure('a'));
  const busy = setInterval(() => runtime.touch('a'), 10);
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  clearInterval(busy);
  await new Promise((resolve) => setTimeout(resolve, 800));
  assert.equal(events.filter(({ type }) => type === 'idle-kill').length, 0);
  socket.destroy();
  assert.equal((await seen('exit')).reason, 'idle-killed');
});

/** A driver in place of CRIU: it restores a tenant as a new server on the same port. */
function snapshots() {
  /** @type {Set<string>} */
  const images = new Set();
  /** @type {Map<string, number>} */
  const ports = new Map();
  /** @type {CheckpointDriver} */
  const driver = {
    checkpoint: async ({ key }) => Boolean(images.add(key)),
    restore: async ({ key }) => {
      const env = { PORT: String(ports.get(key)), RESTORED: `image of ${key}` };
      const child = spawnChild(process.execPath, ['-e', SERVER], {
        env,
        detached: true,
        stdio: 'ignore',
      });
      await once(child, 'spawn');
      return { pid: child.pid ?? 0 };
    },
    drop: async (key) => void images.delete(key),
    has: async (key) => images.has(key),
  };
  return { images, ports, driver };
}

test('an idle tenant is saved and restored on its port, and started cold when that fails', async (context) => {
  const { onTransition, seen, events } = recorder();
  const { driver, ports, images } = snapshots();
  const root = tenantsOnDisk(context, { a: { 'x.txt': '' } });
  let isIdle = false;
  const runtime = createRuntime({
    ...{ source: { kind: 'directory', root }, spawn, onTransition, checkpoint: { driver } },
    ...{ idleAfterMs: 1, sweepIntervalMs: 5, shouldIdleKill: () => isIdle },
  });
  context.after(() => runtime.dispose());
  const first = await within('ready', runtime.ensure('a'));
  ports.set('a', first.port);
  isIdle = true;
  const exit = await seen('exit');
  isIdle = false;
  assert.equal(exit.reason, 'checkpointed');
  assert.equal(runtime.inspect('a')?.state, 'checkpointed');

  const second = await within('it is back', runtime.ensure('a'));
  assert.equal(second.port, first.port);
  assert.equal(await answerOf(second), 'image of a');
  assert.deepEqual(
    events.map(({ type }) => type),
    ['spawn', 'ready', 'exit', 'restored'],
  );
  process.kill(second.pid, 'SIGKILL');
  assert.equal((await seen('exit', 2)).reason, 'crashed');

  images.add('a');
  driver.restore = async () => ({ pid: process.pid });
  const third = await within('a cold start', runtime.ensure('a'));
  assert.equal(await answerOf(third), 'cold');
  const { checkpoints } = runtime.metrics();
  assert.deepEqual(
    [checkpoints.checkpoints, checkpoints.restores, checkpoints.restoreFailures],
    [1, 1, 1],
  );
  assert.equal(images.size, 0);
});

test('each start has a span, whose traceparent is in the tenant’s environment', async (context) => {
  const root = tenantsOnDisk(context, { a: { 'x.txt': '' } });
  const spanContext = () => ({ traceId: 'a1'.repeat(16), spanId: 'b2'.repeat(8), traceFlags: 1 });
  /** @type {Record<string, unknown>} */
  const attributes = {};
  /** @type {unknown[]} */
  const story = [];
  const runtime = createRuntime({
    ...{ source: { kind: 'directory', root }, spawn },
    tracerProvider: {
      getTracer: () => ({
        startSpan: (name, options) => {
          story.push(name);
          Object.assign(attributes, options?.attributes);
          return {
            setAttribute: (key, value) => (attributes[key] = value),
            setStatus: (status) => story.push(status),
            end: () => story.push('end'),
            spanContext,
          };
        },
      }),
    },
  });
  context.after(() => runtime.dispose());
  const tenant = await within('ready', runtime.ensure('a'));
  assert.equal(await answerOf(tenant), `00-${'a1'.repeat(16)}-${'b2'.repeat(8)}-01`);
  await runtime.kill('a');
  assert.deepEqual(story, ['runtime.spawn', { code: 2, message: 'killed' }, 'end']);
  assert.equal(attributes['abs.runtime.pid'], tenant.pid);
  assert.equal(attributes['abs.runtime.exit_reason'], 'killed');
});
