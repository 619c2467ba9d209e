import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import parse from 'parse-prometheus-text-format';
import { Registry } from 'prom-client';
import { inMemory, runNode, source } from '../support/surface/node.mjs';

test("a runtime is scraped over HTTP from Node's server, and through prom-client", async (context) => {
  const register = new Registry();
  const collector = createRuntimeCollector({ registers: [register] });
  const { spawn } = inMemory();
  const runtime = collector.attach(createRuntime, { source, spawn, readiness: async () => true });
  context.after(() => runtime.dispose());
  await runtime.ensure('a');

  const server = createServer((request, response) => {
    const { contentType, body } = collector.expose(request.headers.accept);
    response.setHeader('content-type', contentType).end(body);
  });
  context.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');

  for (const text of [await response.text(), await register.metrics()]) {
    const spawns = parse(text).find(({ name }) => name === 'absolute_runtime_spawns_total');
    assert.deepEqual(spawns?.metrics, [{ value: '1' }]);
  }
  const answer = collector.fetch(new Request('http://host/metrics'));
  assert.match(await answer.text(), /^absolute_runtime_tenants\{state="ready"\} 1$/m);
});

test('the collector does not load prom-client', async () => {
  const { code, output } = await runNode(`
    import { createRequire } from 'node:module';
    import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
    createRuntimeCollector().expose();
    console.log(JSON.stringify(Object.keys(createRequire(import.meta.url).cache)));
  `);
  assert.equal(code, 0, output);
  assert.deepEqual(JSON.parse(output), []);
});
