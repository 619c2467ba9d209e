// The option `fetchImpl`: it is called for admitted requests only, in place of the guard's
// connections.
import { expect, test } from 'bun:test';
import { createEgressGuard, type EgressGuardOptions, type FetchLike } from '@absolutejs/runtime';
import { Spans } from '../support/surface/spans.ts';
import { lookupOf } from '../support/surface/egress.ts';
import { rejectionOf } from '../support/surface/wait.ts';

type Call = { url: string; init: RequestInit | undefined; input: string | URL | Request };

/** A `fetchImpl` that gives the test's answers, and records its calls. */
function fake(answers: Record<string, () => Response> = {}) {
  const calls: Call[] = [];
  const fetchImpl: FetchLike = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    calls.push({ url, init, input });
    return answers[url]?.() ?? new Response('ok');
  };
  return { calls, fetchImpl };
}

const names = {
  'app.test': ['93.184.216.34'],
  'inside.test': ['10.0.0.1'],
  'mixed.test': ['93.184.216.34', '127.0.0.1'],
};

function guardWith(answers: Record<string, () => Response> = {}, options: EgressGuardOptions = {}) {
  const { calls, fetchImpl } = fake(answers);
  const { lookup, asked } = lookupOf(names);
  return { guard: createEgressGuard({ fetchImpl, lookup, ...options }), calls, asked };
}

const redirectTo =
  (location: string, status = 302) =>
  () =>
    new Response(null, { status, headers: { location } });

test('it gets what the caller gave, after every address of the host was checked', async () => {
  const { guard, calls, asked } = guardWith();
  const init = { method: 'POST', body: '{"a":1}', headers: { 'x-mine': '1' } };
  expect(await (await guard.fetch('acme', 'http://app.test/x', init)).text()).toBe('ok');
  expect(calls[0]!.input).toBe('http://app.test/x');
  expect(calls[0]!.init).toMatchObject(init);
  await guard.fetch('acme', new URL('http://app.test/y'));
  expect(calls[1]!.input).toBeInstanceOf(URL);
  await guard.fetch('acme', new Request('http://app.test/z', { method: 'PUT', body: 'hello' }));
  const request = calls[2]!.input as Request;
  expect([request.method, request.url, await request.text()]).toEqual([
    'PUT',
    'http://app.test/z',
    'hello',
  ]);
  expect(asked).toEqual(['app.test', 'app.test', 'app.test']);
});

test.each([
  'http://127.0.0.1/',
  'http://[::1]/',
  'http://169.254.169.254/',
  'http://inside.test/',
  'http://mixed.test/',
  'http://localhost/',
  'http://app.localhost/',
  'http://db.internal/',
  'http://user:secret@app.test/',
  'ftp://app.test/',
  'http://app.test:25/',
])('%s does not reach it', async (url) => {
  const { guard, calls } = guardWith();
  expect((await rejectionOf(guard.fetch('acme', url))).code).toBe('ERR_RUNTIME_EGRESS_DENIED');
  expect(calls).toEqual([]);
});

test('a Request whose url property differs from the URL it goes to', async () => {
  const { guard, calls } = guardWith();
  const request = Object.defineProperty(new Request('http://127.0.0.1/'), 'url', {
    value: 'http://app.test/',
  });
  await guard.fetch('acme', request);
  expect(calls[0]!.url).toBe('http://app.test/');
});

test('redirects are followed here, and pass the same way', async () => {
  const { guard, calls } = guardWith({
    'http://app.test/1': redirectTo('/2', 303),
    'http://app.test/2': redirectTo('http://inside.test/'),
    'http://app.test/3': redirectTo('/4'),
    'http://app.test/4': () => new Response('there'),
  });
  const error = await rejectionOf(
    guard.fetch('acme', 'http://app.test/1', { method: 'POST', body: 'x' }),
  );
  expect(error.url).toBe('http://inside.test/');
  expect(calls.map(({ url, init }) => [url, init?.method, init?.redirect])).toEqual([
    ['http://app.test/1', 'POST', 'manual'],
    ['http://app.test/2', 'GET', 'manual'],
  ]);
  const response = await guard.fetch('acme', 'http://app.test/3');
  expect([response.url, response.redirected, await response.text()]).toEqual([
    'http://app.test/4',
    true,
    'there',
  ]);
  const manual = await guard.fetch('acme', 'http://app.test/3', { redirect: 'manual' });
  expect(manual.status).toBe(302);
});

test('what it throws reaches the caller as the same object', async () => {
  const boom = new Error('no network');
  const guard = createEgressGuard({
    fetchImpl: () => Promise.reject(boom),
    lookup: () => ['93.184.216.34'],
  });
  expect(await rejectionOf(guard.fetch('acme', 'http://app.test/'))).toBe(boom);
});

test('an answer with a length counts at once, another one as it is read', async () => {
  const { guard } = guardWith(
    {
      'http://app.test/known': () => new Response('ok', { headers: { 'content-length': '600' } }),
      'http://app.test/stream': () => new Response(new Blob(['x'.repeat(500)]).stream()),
    },
    { budgets: { bytes: 1_000 } },
  );
  await guard.fetch('acme', 'http://app.test/known');
  expect(guard.usage('acme').bytes).toBe(600);
  const response = await guard.fetch('acme', 'http://app.test/stream');
  expect(guard.usage('acme').bytes).toBe(600);
  // Bytes beyond the budget are not cut off, as the connection is fetchImpl's: the next request is
  // refused.
  expect(await response.text()).toHaveLength(500);
  expect(guard.metrics().bytesEgress).toBe(1_100);
  expect((await rejectionOf(guard.fetch('acme', 'http://app.test/known'))).reason).toBe(
    'bytes-budget',
  );
  guard.reset('acme');
  await guard.fetch('acme', 'http://app.test/known');
});

test('budgets use the given clock, and one that returns no number admits nothing', async () => {
  let nowMs = 1_000_000;
  const { guard, calls } = guardWith(
    {},
    { budgets: { requests: 1, windowMs: 1_000 }, now: () => nowMs },
  );
  await guard.fetch('acme', 'http://app.test/');
  nowMs += 999;
  await rejectionOf(guard.fetch('acme', 'http://app.test/'));
  nowMs += 1;
  await guard.fetch('acme', 'http://app.test/');
  nowMs = NaN;
  expect((await rejectionOf(guard.fetch('acme', 'http://app.test/'))).code).toBe(
    'ERR_RUNTIME_INVALID_OPTION',
  );
  expect(calls).toHaveLength(2);
});

test('a name that the system cannot look up is left to it; one that `lookup` cannot is not', async () => {
  const { calls, fetchImpl } = fake();
  const nowhere = 'http://no-such-host.invalid/';
  await createEgressGuard({ fetchImpl }).fetch('acme', nowhere);
  expect(calls).toHaveLength(1);
  const { guard } = guardWith();
  expect((await rejectionOf(guard.fetch('acme', nowhere))).code).toBe('ERR_RUNTIME_EGRESS_FAILED');
});

test('a lookup that gives more addresses than any name has is refused', async () => {
  const { calls, fetchImpl } = fake();
  const guard = createEgressGuard({ fetchImpl, lookup: () => new Array(2 ** 32 - 1) });
  const error = await rejectionOf(guard.fetch('acme', 'http://app.test/'));
  expect([error.code, calls.length]).toEqual(['ERR_RUNTIME_EGRESS_FAILED', 0]);
});

test('the content-length of an answer without a body is not counted', async () => {
  const headers = { 'content-length': '1000000' };
  const { guard } = guardWith(
    {
      'http://app.test/head': () => new Response('a body all the same', { headers }),
      'http://app.test/304': () => new Response(null, { status: 304, headers }),
      'http://app.test/moved': redirectTo('http://app.test/head'),
    },
    { budget: { maxBytes: 100 } },
  );
  await guard.fetch('acme', 'http://app.test/head', { method: 'HEAD' });
  await guard.fetch('acme', 'http://app.test/moved', { method: 'HEAD' });
  await guard.fetch('acme', 'http://app.test/304');
  expect([guard.usage('acme').bytes, guard.metrics().bytesEgress]).toEqual([0, 0]);
  await guard.fetch('acme', 'http://app.test/head');
  expect(guard.metrics().bytesEgress).toBe(1_000_000);
});

test('a signal that is aborted ends the wait before it is called', async () => {
  const { calls, fetchImpl } = fake();
  const controller = new AbortController();
  const guard = createEgressGuard({ fetchImpl, lookup: () => new Promise<string[]>(() => {}) });
  const pending = rejectionOf(
    guard.fetch('acme', 'http://app.test/', { signal: controller.signal }),
  );
  const reason = new Error('enough');
  setTimeout(() => controller.abort(reason));
  expect(await pending).toBe(reason);
  expect(calls).toEqual([]);
});

test('each request is a span', async () => {
  const spans = new Spans();
  const { guard } = guardWith({}, { tracerProvider: spans.tracerProvider });
  await guard.fetch('acme', 'http://app.test/x');
  await rejectionOf(guard.fetch('acme', 'http://127.0.0.1/'));
  const told: unknown[] = spans.all.map((span) => [
    span.name,
    span.attributes,
    span.status?.code,
    span.ends,
  ]);
  expect(told).toEqual([
    [
      'runtime.egress_fetch',
      { 'abs.tenant': 'acme', 'abs.egress.host': 'app.test', 'abs.egress.allowed': true },
      1,
      1,
    ],
    [
      'runtime.egress_fetch',
      {
        'abs.tenant': 'acme',
        'abs.egress.host': '127.0.0.1',
        'abs.egress.allowed': false,
        'abs.egress.deny_reason': 'not-allowed',
      },
      2,
      1,
    ],
  ]);
});
