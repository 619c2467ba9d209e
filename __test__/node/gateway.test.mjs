import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';
import { PATH, rejectionOf, tenantsOnDisk, within } from '../support/surface/node.mjs';

const start = (/** @type {string} */ command) => JSON.stringify({ scripts: { start: command } });
const SERVER = `
  Bun.serve({
    hostname: '127.0.0.1',
    port: process.env.PORT,
    fetch: async (request) => new Response(new URL(request.url).pathname + ' ' + (await request.text())),
  });
`;

/**
 * @param {number} port
 * @param {string} host
 * @param {import('node:http').RequestOptions} [options]
 * @param {string} [body]
 */
async function ask(port, host, options = {}, body = '') {
  const asked = request({ host: '127.0.0.1', port, headers: { host }, agent: false, ...options });
  asked.end(body);
  const [answer] = await within(host, once(asked, 'response'));
  return { status: answer.statusCode, text: Buffer.concat(await answer.toArray()).toString() };
}

test('requests wake a tenant, are told, and end before the gateway does', async (context) => {
  const root = tenantsOnDisk(context, {
    hello: { 'package.json': start('bun server.ts'), 'server.ts': SERVER },
  });
  const runtime = createRuntime({ source: { kind: 'directory', root }, env: { PATH } });
  context.after(() => runtime.dispose());
  /** @type {import('@absolutejs/runtime/gateway').GatewayAccessEvent[]} */
  const events = [];
  const gateway = createGateway({
    runtime,
    route: { by: 'subdomain', domain: 'localhost' },
    listen: { port: 0 },
    onAccess: (event) => events.push(event),
  });
  const [address] = await within('listening', gateway.listening);
  const { port = 0 } = address ?? {};
  const post = { method: 'POST', path: '/a?b' };
  assert.deepEqual(await ask(port, 'hello.localhost', post, 'c'), { status: 200, text: '/a c' });
  assert.equal((await ask(port, 'nobody.localhost')).status, 404);
  await within('dispose', runtime.dispose());
  const told = events.map(({ key, method, path, status }) => ({ key, method, path, status }));
  assert.deepEqual(told, [
    { key: 'hello', method: 'POST', path: '/a', status: 200 },
    { key: null, method: 'GET', path: '/', status: 404 },
  ]);
  const { requests, connections } = gateway.stats();
  assert.deepEqual([requests['2xx'], requests['4xx'], connections], [1, 1, 0]);
  await gateway.close();
  assert.equal((await rejectionOf(runtime.ensure('hello'))).code, 'ERR_RUNTIME_DISPOSED');
});

test('it can be required', () => {
  const required = createRequire(import.meta.url)('@absolutejs/runtime/gateway');
  assert.deepEqual(Object.keys(required), ['createGateway']);
});
