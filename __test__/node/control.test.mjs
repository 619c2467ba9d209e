import { fieldsFor } from '../../lib/control/token.js';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { createControl } from '@absolutejs/runtime/control';
import { PATH, tenantsOnDisk, within } from '../support/surface/node.mjs';

const FILES = {
  'package.json': JSON.stringify({ scripts: { start: 'bun server.ts' } }),
  'server.ts': `
    console.log('here I am');
    Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, fetch: () => new Response('hello') });
  `,
};

/** @param {string} socketPath @param {string} path @param {import('node:http').RequestOptions} [options] */
async function answerAt(socketPath, path, options = {}) {
  const headers = { ...fieldsFor(socketPath), ...options.headers };
  const asked = request({ socketPath, path, agent: false, ...options, headers });
  asked.end();
  const [answer] = await within(path, once(asked, 'response'));
  return answer;
}

/** @param {string} socketPath @param {string} path @param {import('node:http').RequestOptions} [options] */
async function ask(socketPath, path, options) {
  const answer = await answerAt(socketPath, path, options);
  const text = Buffer.concat(await answer.toArray()).toString();
  return { status: answer.statusCode, body: JSON.parse(text) };
}

test('a control shows tenants and their lines, acts, and goes with its runtime', async (context) => {
  const root = tenantsOnDisk(context, { hello: FILES });
  const runtime = createRuntime({ source: { kind: 'directory', root }, env: { PATH } });
  context.after(() => runtime.dispose());
  const path = join(root, 'control.sock');
  const control = createControl({ runtime, path, name: 'in Node' });
  assert.deepEqual(await within('listening', control.listening), { path });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const { body: host } = await ask(path, '/host');
  assert.equal(host.engine, `node ${process.versions.node}`);
  assert.equal(host.name, 'in Node');

  const stream = await answerAt(path, '/logs', { headers: { accept: 'text/event-stream' } });
  const started = await ask(path, '/tenants/hello/start', { method: 'POST' });
  assert.equal(started.status, 200);
  assert.equal(started.body.state, 'running');
  stream.setEncoding('utf8');
  let told = '';
  for await (const part of stream) {
    told += part;
    if (told.includes('"line":"here I am"')) break;
  }
  const { body } = await ask(path, '/tenants/hello');
  assert.equal(body.pid, runtime.inspect('hello')?.pid);
  assert.deepEqual(
    body.timeline.map((/** @type {{ type: string }} */ { type }) => type),
    ['spawn', 'ready'],
  );
  const second = createControl({ runtime, path });
  await assert.rejects(within('the refusal', second.listening), {
    code: 'ERR_RUNTIME_LISTEN',
    pid: process.pid,
  });
  await within('dispose', runtime.dispose());
  assert.equal(existsSync(path), false);
});

test('it can be required', () => {
  const required = createRequire(import.meta.url)('@absolutejs/runtime/control');
  assert.deepEqual(Object.keys(required), ['createControl']);
});

test('it does not keep its host alive', async (context) => {
  const root = tenantsOnDisk(context, {});
  const path = join(root, 'control.sock');
  const program = `
    import { createRuntime } from '@absolutejs/runtime';
    import { createControl } from '@absolutejs/runtime/control';
    const runtime = createRuntime({ source: { kind: 'directory', root: ${JSON.stringify(root)} } });
    await createControl({ runtime, path: ${JSON.stringify(path)} }).listening;
    console.log('listening');
  `;
  const { spawn } = await import('node:child_process');
  const host = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: new URL('../..', import.meta.url).pathname,
  });
  let printed = '';
  host.stdout.on('data', (part) => (printed += part));
  const [code] = await within('its end', once(host, 'exit'));
  assert.deepEqual([code, printed], [0, 'listening\n']);
});
