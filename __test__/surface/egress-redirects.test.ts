import { expect, test } from 'bun:test';
import { createEgressGuard } from '@absolutejs/runtime';
import { localGuard, serve, type Seen } from '../support/surface/egress.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const target = '/target';

/**
 * A server that redirects `/from` with this status to this location, and answers `reached`
 * elsewhere.
 */
const redirecting = (status: number, location: string | (() => string)) =>
  serve(({ url }, response) => {
    if (url !== '/from') return void response.end('reached');
    response.writeHead(status, { location: typeof location === 'string' ? location : location() });
    response.end('moved');
  });

const lastOf = (seen: Seen[]): Seen => seen.at(-1)!;

test.each([301, 302, 303, 307, 308])('%d is followed, and the response says so', async (status) => {
  await using server = await redirecting(status, target);
  const response = await localGuard().fetch('acme', `${server.at('app.test')}/from#part`);
  expect(await response.text()).toBe('reached');
  expect(response.redirected).toBe(true);
  expect(response.url).toBe(`${server.at('app.test')}${target}`);
  expect(server.seen.map(({ url }) => url)).toEqual(['/from', target]);
});

const rewriting: [status: number, method: string, becomes: string][] = [
  [301, 'POST', 'GET'],
  [302, 'POST', 'GET'],
  [303, 'POST', 'GET'],
  [303, 'PUT', 'GET'],
  [303, 'DELETE', 'GET'],
  [301, 'PUT', 'PUT'],
  [302, 'DELETE', 'DELETE'],
  [307, 'POST', 'POST'],
  [308, 'POST', 'POST'],
  [307, 'PUT', 'PUT'],
  [308, 'PATCH', 'PATCH'],
];

test.each(rewriting)('after %d a %s becomes a %s', async (status, method, becomes) => {
  await using server = await redirecting(status, target);
  const headers = { 'content-type': 'text/x', 'content-language': 'de', 'x-mine': 'kept' };
  await localGuard().fetch('acme', `${server.at('app.test')}/from`, {
    method,
    headers,
    body: 'hello',
  });
  const keepsBody = becomes === method;
  expect(lastOf(server.seen)).toMatchObject({ method: becomes, body: keepsBody ? 'hello' : '' });
  expect(lastOf(server.seen).headers).toMatchObject({ 'x-mine': 'kept' });
  expect(lastOf(server.seen).headers['content-type']).toBe(keepsBody ? 'text/x' : undefined);
  expect(lastOf(server.seen).headers['content-language']).toBe(keepsBody ? 'de' : undefined);
  expect(lastOf(server.seen).headers['content-length']).toBe(keepsBody ? '5' : undefined);
});

test('HEAD stays HEAD after 303', async () => {
  await using server = await redirecting(303, target);
  await localGuard().fetch('acme', `${server.at('app.test')}/from`, { method: 'HEAD' });
  expect(lastOf(server.seen).method).toBe('HEAD');
});

const credentials = {
  authorization: 'Bearer secret',
  cookie: 'a=b',
  'proxy-authorization': 'Basic x',
};

test('credentials stay within their origin', async () => {
  await using server = await redirecting(302, target);
  await localGuard().fetch('acme', `${server.at('app.test')}/from`, { headers: credentials });
  expect(lastOf(server.seen).headers).toMatchObject(credentials);
});

test.each(['host', 'port'])(
  'credentials are not sent to another %s, and not back again',
  async (what) => {
    await using home = await redirecting(
      302,
      () => `${away.at(what === 'host' ? 'other.test' : 'app.test')}/from`,
    );
    await using away = await redirecting(302, () => `${home.at('app.test')}${target}`);
    const headers = { ...credentials, 'x-mine': 'kept' };
    await localGuard().fetch('acme', `${home.at('app.test')}/from`, { headers });
    expect(home.seen[0]!.headers).toMatchObject(credentials);
    for (const { headers } of [away.seen[0]!, home.seen[1]!]) {
      for (const name of Object.keys(credentials)) expect(headers[name]).toBeUndefined();
      expect(headers['x-mine']).toBe('kept');
    }
  },
);

test.each([
  ['http://10.0.0.1/', 'address'],
  ['http://169.254.169.254/latest/meta-data/', 'address'],
  ['//169.254.169.254/latest', 'address'],
  ['http://[::ffff:10.0.0.1]/', 'address'],
  ['http://2852039166/', 'address'],
  ['http://private.test/', 'address'],
  ['http://metadata.google.internal/', 'host'],
  ['http://denied.test/', 'host'],
  ['file:///etc/passwd', 'scheme'],
  ['data:text/plain,hello', 'scheme'],
  ['http://user:secret@app.test/', 'credentials'],
  ['http://app.test:25/', 'port'],
])('a redirect to %s is denied', async (location, reason) => {
  await using server = await redirecting(302, location);
  const names: Record<string, string[]> = {
    'app.test': ['127.0.0.1'],
    'private.test': ['10.0.0.1'],
  };
  const guard = localGuard({ lookup: (name) => names[name] ?? [], deny: ['denied.test'] });
  const error = await rejectionOf(guard.fetch('acme', `${server.at('app.test')}/from`));
  expect(error).toMatchObject({ name: 'EgressDeniedError', reason });
  expect(error.url).not.toContain('secret');
  expect(error.url).not.toContain('/from');
  expect(server.seen).toHaveLength(1);
  await server.quiet();
});

test('the name is looked up again for a redirect to the same host', async () => {
  await using server = await redirecting(302, target);
  const answers = [['127.0.0.1'], ['10.0.0.1']];
  const guard = createEgressGuard({ allow: ['127.0.0.1'], lookup: () => answers.shift() ?? [] });
  const error = await rejectionOf(guard.fetch('acme', `${server.at('app.test')}/from`));
  expect(error.address).toBe('10.0.0.1');
  expect(server.connections()).toBe(1);
});

test('20 redirects are followed, 21 are not', async () => {
  await using server = await serve(({ url }, response) => {
    const left = Number(url.slice(1));
    if (left === 0) return void response.end('reached');
    response.writeHead(302, { location: `/${left - 1}` }).end();
  });
  const guard = localGuard();
  expect(await (await guard.fetch('acme', `${server.at('app.test')}/20`)).text()).toBe('reached');
  const error = await rejectionOf(guard.fetch('acme', `${server.at('app.test')}/21`));
  expect(error).toBeInstanceOf(TypeError);
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_EGRESS_FAILED' });
  expect(error.message).toContain('more than 20 times');
  await server.quiet();
});

test("redirect: 'manual' gives the answer as it is, wherever it leads", async () => {
  await using server = await redirecting(302, 'http://10.0.0.1/');
  const response = await localGuard().fetch('acme', `${server.at('app.test')}/from`, {
    redirect: 'manual',
  });
  expect(response.status).toBe(302);
  expect(response.redirected).toBe(false);
  expect(response.headers.get('location')).toBe('http://10.0.0.1/');
  expect(await response.text()).toBe('moved');
});

test("redirect: 'error' fails, in init or in a Request", async () => {
  await using server = await redirecting(302, target);
  const url = `${server.at('app.test')}/from`;
  const guard = localGuard();
  for (const pending of [
    guard.fetch('acme', url, { redirect: 'error' }),
    guard.fetch('acme', new Request(url, { redirect: 'error' })),
  ]) {
    const error = await rejectionOf(pending);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
  }
  expect(server.seen).toHaveLength(2);
});

test('a redirect without a location is an answer like any other', async () => {
  await using server = await serve((_, response) => void response.writeHead(302).end('where to?'));
  const response = await localGuard().fetch('acme', server.at('app.test'));
  expect([response.status, await response.text()]).toEqual([302, 'where to?']);
});

test('304 with a location is not followed', async () => {
  await using server = await serve(
    (_, response) => void response.writeHead(304, { location: '/x' }).end(),
  );
  expect((await localGuard().fetch('acme', server.at('app.test'))).status).toBe(304);
});

test('a location that is no URL fails the request', async () => {
  await using server = await redirecting(302, 'http://[');
  const error = await rejectionOf(localGuard().fetch('acme', `${server.at('app.test')}/from`));
  expect(error.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
});

test('a location in UTF-8 keeps its meaning', async () => {
  await using server = await redirecting(302, Buffer.from('/grün').toString('latin1'));
  await localGuard().fetch('acme', `${server.at('app.test')}/from`);
  expect(lastOf(server.seen).url).toBe('/gr%C3%BCn');
});

const streamed = (): ReadableStream => new Blob(['hello']).stream();

test.each([301, 302, 307, 308])('a streamed body cannot be sent again after %d', async (status) => {
  await using server = await redirecting(status, target);
  const init: RequestInit = { method: 'POST', body: streamed() };
  const error = await rejectionOf(
    localGuard().fetch('acme', `${server.at('app.test')}/from`, init),
  );
  expect(error.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
  expect(server.seen).toHaveLength(1);
});

test('303 needs no body, so that of a stream does not matter', async () => {
  await using server = await redirecting(303, target);
  const init: RequestInit = { method: 'POST', body: streamed() };
  expect(
    await (await localGuard().fetch('acme', `${server.at('app.test')}/from`, init)).text(),
  ).toBe('reached');
});

test('the body of a Request that was made from a string is sent again', async () => {
  await using server = await redirecting(307, target);
  const request = new Request(`${server.at('app.test')}/from`, { method: 'POST', body: 'hello' });
  await localGuard().fetch('acme', request);
  expect(lastOf(server.seen)).toMatchObject({ method: 'POST', body: 'hello' });
  expect(lastOf(server.seen).headers['content-length']).toBe('5');
});
