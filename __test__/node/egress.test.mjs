import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { createEgressGuard, EgressDeniedError } from '@absolutejs/runtime';

/** Longer than any test, so that nothing leaves the window. */
const windowMs = 3_600_000;

/**
 * A server on 127.0.0.1 for as long as the test runs.
 * @param {import('node:test').TestContext} t
 * @param {import('node:http').RequestListener} listener
 */
async function serve(t, listener) {
  const server = createServer(listener);
  let connections = 0;
  server.on('connection', () => connections++);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    at: (/** @type {string} */ name) => `http://${name}:${port}`,
    connections: () => connections,
  };
}

/** @param {import('@absolutejs/runtime').EgressGuardOptions} [options] */
const localGuard = (options) =>
  createEgressGuard({ allow: ['127.0.0.0/8'], lookup: () => ['127.0.0.1'], ...options });

/** @param {Promise<unknown>} promise @returns {Promise<any>} */
const rejectionOf = (promise) =>
  promise.then(
    () => assert.fail('resolved instead of rejecting'),
    (error) => error,
  );

test('addresses that are not public are denied, however they are written', async () => {
  const guard = createEgressGuard({ lookup: () => ['1.1.1.1', '::ffff:10.0.0.1'] });
  const hosts = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '１２７.0.0.1',
    '[::1]',
    '[::]',
  ];
  hosts.push(
    '[::ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    '[2002:7f00:1::]',
    '[fd00:ec2::254]',
  );
  hosts.push(
    '169.254.169.254',
    '100.64.0.1',
    '198.18.0.1',
    '240.0.0.1',
    '224.0.0.1',
    '0.0.0.0',
    'name.test',
  );
  for (const host of hosts) {
    const error = await rejectionOf(guard.fetch('acme', `http://${host}/`));
    assert.ok(error instanceof EgressDeniedError, `${host}: ${error}`);
    assert.equal(error.reason, 'address');
  }
});

test('the address that was checked is the one that is dialled', async (t) => {
  const server = await serve(t, ({ headers }, response) => response.end(headers.host));
  const answers = [['127.0.0.1'], ['10.0.0.1']];
  const guard = createEgressGuard({ allow: ['127.0.0.1'], lookup: () => answers.shift() ?? [] });
  const response = await guard.fetch('acme', server.at('nowhere.invalid'));
  assert.equal(await response.text(), new URL(server.at('nowhere.invalid')).host);
  assert.ok(response instanceof Response);
  assert.equal(
    (await rejectionOf(guard.fetch('acme', server.at('nowhere.invalid')))).address,
    '10.0.0.1',
  );
  assert.equal(server.connections(), 1);
});

test('redirects are checked one by one, and drop credentials on their way to another origin', async (t) => {
  /** @type {import('node:http').IncomingHttpHeaders[]} */
  const seen = [];
  const server = await serve(t, ({ url, headers }, response) => {
    seen.push(headers);
    if (url === '/away') response.writeHead(302, { location: `${server.at('other.test')}/end` });
    if (url === '/private') response.writeHead(302, { location: 'http://10.0.0.1/' });
    response.end('reached');
  });
  const headers = { authorization: 'Bearer secret', cookie: 'a=b' };
  const init = { method: 'POST', body: 'hello', headers };
  const response = await localGuard().fetch('acme', `${server.at('app.test')}/away`, init);
  assert.deepEqual([response.url, response.redirected], [`${server.at('other.test')}/end`, true]);
  assert.equal(seen[0]?.authorization, 'Bearer secret');
  assert.deepEqual(
    [seen[1]?.authorization, seen[1]?.cookie, seen[1]?.['content-length']],
    Array(3).fill(undefined),
  );
  const error = await rejectionOf(
    localGuard().fetch('acme', `${server.at('app.test')}/private`, init),
  );
  assert.deepEqual([error.reason, error.url], ['address', 'http://10.0.0.1/']);
});

test('bodies of every kind are sent', async (t) => {
  const server = await serve(t, (request, response) => void request.pipe(response));
  const form = new FormData();
  form.set('field', 'value');
  const bytes = new TextEncoder().encode('hello');
  async function* pieces() {
    yield bytes.subarray(0, 2);
    yield bytes.subarray(2);
  }
  const bodies = [
    'hello',
    bytes,
    bytes.buffer,
    new Blob(['hello']),
    new Blob(['hello']).stream(),
    pieces(),
  ];
  for (const body of /** @type {any[]} */ (bodies)) {
    const response = await localGuard().fetch('acme', server.at('app.test'), {
      method: 'POST',
      body,
    });
    assert.equal(await response.text(), 'hello');
  }
  const request = new Request(server.at('app.test'), { method: 'POST', body: form });
  assert.match(await (await localGuard().fetch('acme', request)).text(), /value/);
});

test('encoded answers are decoded, and broken ones fail', async (t) => {
  const server = await serve(t, ({ url }, response) => {
    if (url === '/gzip') response.setHeader('content-encoding', 'gzip').end(gzipSync('hello'));
    else if (url === '/br')
      response.setHeader('content-encoding', 'br').end(brotliCompressSync('hello'));
    else
      response.writeHead(200, { 'content-length': '10' }).write('half', () => response.destroy());
  });
  for (const path of ['/gzip', '/br']) {
    assert.equal(
      await (await localGuard().fetch('acme', server.at('app.test') + path)).text(),
      'hello',
    );
  }
  const error = await rejectionOf((await localGuard().fetch('acme', server.at('app.test'))).text());
  assert.ok(error instanceof TypeError);
  assert.equal(Reflect.get(error, 'code'), 'ERR_RUNTIME_EGRESS_FAILED');
});

test('budgets hold under parallel requests', async (t) => {
  const server = await serve(t, (_, response) => void response.end('reached'));
  const guard = localGuard({ budget: { windowMs, maxRequests: 5 } });
  const answers = Array.from({ length: 20 }, () => guard.fetch('acme', server.at('app.test')));
  const outcomes = await Promise.allSettled(answers);
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 5);
  assert.equal(server.connections(), 5);
  assert.equal(guard.usage('acme').requests, 5);
});

test('a body that goes beyond the budget is cut off, in both directions', async (t) => {
  const chunk = Buffer.alloc(10_000);
  const server = await serve(t, (request, response) => {
    if (request.method === 'POST') return void request.resume();
    const more = () => void response.write(chunk, (error) => error || setImmediate(more));
    more();
  });
  const guard = localGuard({ budget: { windowMs, maxBytes: 100_000 } });
  const response = await guard.fetch('down', server.at('app.test'));
  assert.equal((await rejectionOf(response.arrayBuffer())).reason, 'bytes-budget');
  assert.equal(guard.usage('down').bytes, 100_000);
  const body = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(10_000)),
  });
  const error = await rejectionOf(
    guard.fetch('up', server.at('app.test'), { method: 'POST', body }),
  );
  assert.equal(error.reason, 'bytes-budget');
});

test('an abort ends a request at any stage', async (t) => {
  const mine = new Error('mine');
  const server = await serve(t, ({ url }, response) => {
    if (url === '/body') response.write('first');
    else queueMicrotask(() => controller.abort(mine));
  });
  let controller = new AbortController();
  const waiting = localGuard().fetch('acme', server.at('app.test'), { signal: controller.signal });
  assert.equal(await rejectionOf(waiting), mine);
  controller = new AbortController();
  const { signal } = controller;
  const response = await localGuard().fetch('acme', `${server.at('app.test')}/body`, { signal });
  const reading = rejectionOf(response.text());
  controller.abort(mine);
  assert.equal(await reading, mine);
  const early = localGuard().fetch('acme', server.at('app.test'), { signal });
  assert.equal(await rejectionOf(early), mine);
});

test('certificates must be trusted and for the name, and proxies in the environment are not used', async () => {
  const path = (/** @type {string} */ name) =>
    fileURLToPath(new URL(`../support/surface/${name}`, import.meta.url));
  const run = async (/** @type {Record<string, string>} */ env) => {
    const options = { env: { ...process.env, ...env } };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [path('egress-tls.mjs')],
      options,
    );
    return JSON.parse(stdout);
  };
  const proxy = { HTTPS_PROXY: 'http://127.0.0.1:9', NODE_USE_ENV_PROXY: '1' };
  const trusting = await run({ ...proxy, NODE_EXTRA_CA_CERTS: path('tls/authority.pem') });
  assert.deepEqual(trusting.byName, { host: 'secure.test', servername: 'secure.test', length: 0 });
  assert.deepEqual(trusting.byAddress, { host: '127.0.0.1', servername: null, length: 0 });
  assert.equal(trusting.withBody.length, 1_000_000);
  assert.equal(trusting.byOtherName.cause, 'ERR_TLS_CERT_ALTNAME_INVALID');
  const wary = await run({ NODE_EXTRA_CA_CERTS: '', NODE_TLS_REJECT_UNAUTHORIZED: '0' });
  for (const { code } of Object.values(wary)) assert.equal(code, 'ERR_RUNTIME_EGRESS_FAILED');
});
