import { expect, test } from 'bun:test';
import { localGuard, serve } from '../support/surface/egress.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const reached = () => serve((_, response) => void response.end('reached'));

/** A function that returns the first value once, and then the others. */
function changing<T>(first: T, ...others: T[]) {
  let asked = 0;
  return {
    next: () => (asked++ === 0 ? first : others[Math.min(asked - 2, others.length - 1)]!),
    asked: () => asked,
  };
}

const forbidden = 'http://10.0.0.1/';

test('an object whose toString changes is asked once', async () => {
  await using server = await reached();
  const { next, asked } = changing(server.at('app.test'), forbidden);
  const input: any = { toString: next };
  expect(await (await localGuard().fetch('acme', input)).text()).toBe('reached');
  expect(asked()).toBe(1);
  const bad = changing(forbidden, server.at('app.test'));
  expect(
    (await rejectionOf(localGuard().fetch('acme', { toString: bad.next } as any))).reason,
  ).toBe('address');
});

test('a URL whose href changes is asked once', async () => {
  await using server = await reached();
  const { next, asked } = changing(server.at('app.test'), forbidden);
  class Shifty extends URL {
    override get href() {
      return next();
    }
    override toString() {
      return next();
    }
  }
  expect(await (await localGuard().fetch('acme', new Shifty('http://app.test/'))).text()).toBe(
    'reached',
  );
  expect(asked()).toBe(1);
});

test('a URL that is changed after the call goes where it pointed at the call', async () => {
  await using server = await reached();
  const url = new URL(`${server.at('app.test')}/first`);
  const answer = localGuard().fetch('acme', url);
  url.hostname = '10.0.0.1';
  url.pathname = '/second';
  expect((await answer).url).toEndWith('/first');
});

test('a Request whose url changes is asked once', async () => {
  await using server = await reached();
  const { next, asked } = changing(server.at('app.test'), forbidden);
  const request = Object.defineProperty(new Request('http://app.test/'), 'url', { get: next });
  expect(await (await localGuard().fetch('acme', request)).text()).toBe('reached');
  expect(asked()).toBe(1);
});

test('every member of init is read once', async () => {
  await using server = await reached();
  const asked: Record<string, number> = {};
  const values: Record<string, unknown> = {
    method: 'POST',
    body: 'hello',
    headers: { 'x-mine': '1' },
    redirect: 'follow',
    signal: new AbortController().signal,
  };
  const init = new Proxy(values, {
    get(target, name: string) {
      asked[name] = (asked[name] ?? 0) + 1;
      return target[name];
    },
  });
  await localGuard().fetch('acme', server.at('app.test'), init);
  expect(server.seen[0]).toMatchObject({
    method: 'POST',
    body: 'hello',
    headers: { 'x-mine': '1' },
  });
  for (const name of Object.keys(values)) expect([name, asked[name]]).toEqual([name, 1]);
});

test('a method whose text changes is asked once', async () => {
  await using server = await reached();
  const { next, asked } = changing('PUT', 'CONNECT', 'x y\r\n');
  await localGuard().fetch('acme', server.at('app.test'), { method: { toString: next } as any });
  expect([server.seen[0]!.method, asked()]).toEqual(['PUT', 1]);
});

test('headers are read once, and what is changed after the call is not sent', async () => {
  await using server = await reached();
  let asked = 0;
  const own = {
    get 'x-mine'() {
      return String(++asked);
    },
  };
  const headers = new Headers(own as any);
  const answers = [
    localGuard().fetch('acme', server.at('app.test'), { headers: own as any }),
    localGuard().fetch('acme', server.at('app.test'), { headers }),
  ];
  headers.set('x-mine', 'changed');
  await Promise.all(answers);
  expect(asked).toBe(2);
  expect(server.seen.map((seen) => seen.headers['x-mine']).sort()).toEqual(['1', '2']);
});

test('bytes that are changed after the call are not sent', async () => {
  await using server = await reached();
  const bytes = new TextEncoder().encode('first');
  const params = new URLSearchParams('a=1');
  const form = new FormData();
  form.set('a', 'first');
  const answers = [bytes, bytes.buffer, params, form].map((body) =>
    localGuard().fetch('acme', server.at('app.test'), { method: 'POST', body }),
  );
  bytes.set(new TextEncoder().encode('other'));
  params.set('a', '2');
  form.set('a', 'other');
  await Promise.all(answers);
  const sent = server.seen.map(({ body }) => body).sort();
  expect(sent.filter((body) => body === 'first')).toHaveLength(2);
  expect(sent.filter((body) => body === 'a=1')).toHaveLength(1);
  expect(sent.filter((body) => body.includes('first\r\n'))).toHaveLength(1);
});

test('the lists of the options are read once', async () => {
  await using server = await reached();
  const allow = ['127.0.0.1'];
  const deny = ['denied.test'];
  const guard = localGuard({ allow, deny, lookup: () => ['127.0.0.1'] });
  allow.length = 0;
  deny.length = 0;
  expect((await guard.fetch('acme', server.at('app.test'))).status).toBe(200);
  expect((await rejectionOf(guard.fetch('acme', server.at('denied.test')))).reason).toBe('host');
});
