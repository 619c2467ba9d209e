import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRuntime, RuntimeExitedBeforeReadyError } from '@absolutejs/runtime';
import { PATH, rejectionOf, tenantsOnDisk, within } from '../support/surface/node.mjs';

const start = (/** @type {string} */ command) => JSON.stringify({ scripts: { start: command } });

const SERVER = `
  console.log('hello from ' + process.env.NODE_ENV);
  Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, fetch: () => new Response(process.env.PORT) });
`;

test('bun run start: woken, answered, reused, restarted, killed', async (context) => {
  const root = tenantsOnDisk(context, {
    'org/app': { 'package.json': start('bun server.ts'), 'server.ts': SERVER },
  });
  /** @type {string[]} */
  const story = [];
  const runtime = createRuntime({
    source: { kind: 'directory', root },
    env: { PATH },
    onTransition: (event) => story.push(event.type),
    onMetrics: (event) => event.type === 'spawn' && story.push('metric'),
    onLog: ({ line }) => line.startsWith('hello') && story.push(line),
  });
  context.after(() => runtime.dispose());

  const tenant = await within('ready', runtime.ensure('org/app'));
  const response = await fetch(`http://127.0.0.1:${tenant.port}/`);
  assert.equal(await response.text(), String(tenant.port));
  assert.equal(await runtime.ensure('org/app'), tenant);
  assert.deepEqual(runtime.stats(), { running: 1, total: 1, draining: false, backoff: 0 });

  const fresh = await within('a fresh one', runtime.restart('org/app'));
  assert.notEqual(fresh.pid, tenant.pid);
  await within('kill', runtime.kill('org/app'));
  await assert.rejects(fetch(`http://127.0.0.1:${fresh.port}/`));
  assert.deepEqual(runtime.stats(), { running: 0, total: 0, draining: false, backoff: 0 });

  const events = story.filter((words) => !words.startsWith('hello'));
  const life = ['spawn', 'metric', 'ready', 'exit'];
  assert.deepEqual(events, [...life, ...life]);
  assert.equal(story.filter((words) => words === 'hello from production').length, 2);
});

test('the error of a tenant that crashes at its start has its output', async (context) => {
  const root = tenantsOnDisk(context, {
    broken: {
      'package.json': start('bun server.ts'),
      'server.ts': 'throw new Error("no database");',
    },
  });
  const runtime = createRuntime({ source: { kind: 'directory', root }, env: { PATH } });
  context.after(() => runtime.dispose());
  const error = await rejectionOf(runtime.ensure('broken'));
  assert.ok(error instanceof RuntimeExitedBeforeReadyError);
  assert.equal(error.key, 'broken');
  assert.equal(error.exitCode, 1);
  const [firstLine] = error.message.split('\n');
  assert.equal(firstLine, 'Runtime process for "broken" exited with code 1 before it was ready');
  assert.match(error.message, /no database/);
});

test('a tenant directory that does not exist is a spawn failure that names it', async (context) => {
  const root = tenantsOnDisk(context, {});
  const runtime = createRuntime({ source: { kind: 'directory', root }, env: { PATH } });
  context.after(() => runtime.dispose());
  const error = await rejectionOf(runtime.ensure('missing'));
  assert.equal(error.code, 'ERR_RUNTIME_SPAWN');
  assert.match(error.message, /missing/);
  assert.equal((await rejectionOf(runtime.ensure('missing'))).code, 'ERR_RUNTIME_BACKOFF');
});
