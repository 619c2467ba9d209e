import { expect, test } from 'bun:test';
import { gzipSync } from 'node:zlib';
import { createBudgets } from '../../lib/egress/budget.js';
import { localGuard, serve, serveRaw } from '../support/surface/egress.ts';
import { aFewTurns, rejectionOf, within } from '../support/surface/wait.ts';

/** Longer than any test, so that nothing leaves the window. */
const windowMs = 3_600_000;

const reached = () => serve((_, response) => void response.end('reached'));

/** The bytes of a request to this server without any body. */
async function bytesOfHeads(at: string): Promise<number> {
  const guard = localGuard({ budget: { windowMs } });
  await guard.fetch('acme', at, { method: 'HEAD' });
  return guard.usage('acme').bytes;
}

test('requests beyond the budget are refused, each tenant by itself', async () => {
  await using server = await reached();
  const guard = localGuard({ budget: { windowMs, maxRequests: 2 } });
  const get = (key: string) => guard.fetch(key, server.at('app.test'));
  await get('acme');
  await get('acme');
  const error = await rejectionOf(get('acme'));
  expect(error).toMatchObject({
    name: 'EgressDeniedError',
    reason: 'requests-budget',
    key: 'acme',
  });
  expect(error.retryAfterMs).toBeGreaterThan(windowMs * 0.9);
  expect(error.retryAfterMs).toBeLessThanOrEqual(windowMs * 1.1);
  expect(guard.denials).toEqual([error]);
  expect((await get('other')).status).toBe(200);
  expect(guard.usage('acme').requests).toBe(2);
  expect(server.seen).toHaveLength(3);
});

test('of many parallel requests as many as there is budget for are sent', async () => {
  await using server = await reached();
  const guard = localGuard({ budget: { windowMs, maxRequests: 7 } });
  const answers = await Promise.allSettled(
    Array.from({ length: 50 }, () => guard.fetch('acme', server.at('app.test'))),
  );
  expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(7);
  expect(server.seen).toHaveLength(7);
  expect(guard.denials.map(({ reason }) => reason)).toEqual(Array(43).fill('requests-budget'));
});

test('every redirect that is followed is a request', async () => {
  await using server = await serve(({ url }, response) => {
    const left = Number(url.slice(1));
    response.writeHead(left > 0 ? 302 : 200, { location: `/${left - 1}` }).end();
  });
  const guard = localGuard({ budget: { windowMs, maxRequests: 5 } });
  await guard.fetch('acme', `${server.at('app.test')}/2`);
  expect(guard.usage('acme').requests).toBe(3);
  const error = await rejectionOf(guard.fetch('acme', `${server.at('app.test')}/2`));
  expect(error).toMatchObject({ reason: 'requests-budget', url: `${server.at('app.test')}/0` });
  expect(server.seen).toHaveLength(5);
});

test('what is refused for its URL alone costs nothing, what had to be looked up costs a request', async () => {
  const guard = localGuard({ budget: { windowMs, maxRequests: 1 }, lookup: () => ['10.0.0.1'] });
  for (let n = 0; n < 3; n++) {
    expect((await rejectionOf(guard.fetch('acme', 'http://10.0.0.1/'))).reason).toBe('address');
    expect((await rejectionOf(guard.fetch('acme', 'ftp://app.test/'))).reason).toBe('scheme');
  }
  expect(guard.usage('acme').requests).toBe(0);
  expect((await rejectionOf(guard.fetch('acme', 'http://app.test/'))).reason).toBe('address');
  expect((await rejectionOf(guard.fetch('acme', 'http://app.test/'))).reason).toBe(
    'requests-budget',
  );
});

test('bytes are those of both bodies and heads, as they are on the wire', async () => {
  const wire = gzipSync('x'.repeat(100_000));
  await using server = await serve(({ url }, response) => {
    if (url === '/gzip') return void response.setHeader('content-encoding', 'gzip').end(wire);
    response.end('y'.repeat(5_000));
  });
  const guard = localGuard({ budget: { windowMs } });
  const body = 'z'.repeat(3_000);
  await (await guard.fetch('acme', server.at('app.test'), { method: 'POST', body })).text();
  expect(guard.usage('acme').bytes).toBeWithin(8_000, 9_000);
  guard.reset('acme');
  expect(guard.usage('acme')).toEqual({ requests: 0, bytes: 0 });
  await (await guard.fetch('acme', `${server.at('app.test')}/gzip`)).text();
  expect(guard.usage('acme').bytes).toBeWithin(wire.length, wire.length + 1_000);
});

test('a long URL and long headers are bytes, too', async () => {
  await using server = await reached();
  const guard = localGuard({ budget: { windowMs, maxBytes: 3_000 } });
  const url = `${server.at('app.test')}/?q=${'x'.repeat(4_000)}`;
  expect((await rejectionOf(guard.fetch('acme', url))).reason).toBe('bytes-budget');
  const headers = { 'x-mine': 'x'.repeat(4_000) };
  expect((await rejectionOf(guard.fetch('acme', server.at('app.test'), { headers }))).reason).toBe(
    'bytes-budget',
  );
  expect(server.connections()).toBe(0);
});

test('a body that is larger than the whole budget is refused before anything is sent, without a time to wait for', async () => {
  await using server = await reached();
  const guard = localGuard({ budget: { windowMs, maxBytes: 1_000 } });
  const error = await rejectionOf(
    guard.fetch('acme', server.at('app.test'), { method: 'POST', body: 'x'.repeat(1_001) }),
  );
  expect(error).toMatchObject({ name: 'EgressDeniedError', reason: 'bytes-budget' });
  expect('retryAfterMs' in error).toBe(false);
  expect(server.connections()).toBe(0);
  expect(guard.usage('acme').bytes).toBe(0);
});

test('parallel uploads cannot take the same bytes', async () => {
  const { promise: allThere, resolve } = Promise.withResolvers<void>();
  const waiting: (() => void)[] = [];
  await using server = await serve((_, response) => {
    waiting.push(() => response.end());
    if (waiting.length === 3) resolve();
  });
  const guard = localGuard({ budget: { windowMs, maxBytes: 38_000 } });
  const answers = Promise.allSettled(
    Array.from({ length: 20 }, () =>
      guard.fetch('acme', server.at('app.test'), { method: 'POST', body: 'x'.repeat(10_000) }),
    ),
  );
  await within('three uploads', allThere);
  for (const finish of waiting) finish();
  const fulfilled = (await answers).filter(({ status }) => status === 'fulfilled');
  expect(fulfilled).toHaveLength(3);
  expect(guard.denials.map(({ reason }) => reason)).toEqual(Array(17).fill('bytes-budget'));
  expect(guard.usage('acme').bytes).toBeWithin(30_000, 38_001);
});

test('what was reserved and not sent is given back', async () => {
  const guard = localGuard({
    budget: { windowMs, maxBytes: 10_000 },
    lookup: () => Promise.reject(new Error('mine')),
  });
  for (let n = 0; n < 5; n++) {
    const error = await rejectionOf(
      guard.fetch('acme', 'http://app.test/', { method: 'POST', body: 'x'.repeat(8_000) }),
    );
    expect(error.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
  }
  expect(guard.usage('acme')).toEqual({ requests: 5, bytes: 0 });
});

test('what an early answer keeps from being sent is given back, too', async () => {
  await using server = await serveRaw((request, response) => {
    request.pause();
    response.writeHead(413, { connection: 'close' }).end('too much');
  });
  const maxBytes = 60 << 20;
  const guard = localGuard({ budget: { windowMs, maxBytes } });
  const body = 'x'.repeat(40 << 20);
  for (let n = 0; n < 2; n++) {
    const response = await guard.fetch('acme', server.at('app.test'), { method: 'POST', body });
    expect(await response.text()).toBe('too much');
    await server.quiet();
  }
  expect(guard.denials).toEqual([]);
});

const chunk = 'x'.repeat(10_000);

/** Sends pieces of 10 kB for as long as they are taken, without saying how many there will be. */
const endless = () =>
  serve((_, response) => {
    const more = () => void response.write(chunk, (error) => error || setImmediate(more));
    more();
  });

test('a streamed answer is cut off where the budget ends', async () => {
  await using server = await endless();
  const guard = localGuard({ budget: { windowMs, maxBytes: 200_000 } });
  const response = await guard.fetch('acme', server.at('app.test'));
  let read = 0;
  const error = await rejectionOf(
    (async () => {
      for await (const bytes of response.body!) read += bytes.byteLength;
    })(),
  );
  expect(error).toMatchObject({ name: 'EgressDeniedError', reason: 'bytes-budget', key: 'acme' });
  expect(guard.denials).toEqual([error]);
  expect(read).toBeLessThanOrEqual(200_000);
  expect(guard.usage('acme').bytes).toBe(200_000);
  await server.quiet();
  expect((await rejectionOf(guard.fetch('acme', server.at('app.test')))).reason).toBe(
    'bytes-budget',
  );
});

test('parallel answers share one budget', async () => {
  await using server = await endless();
  const guard = localGuard({ budget: { windowMs, maxBytes: 300_000 } });
  let read = 0;
  const readers = Array.from({ length: 8 }, async () => {
    const response = await guard.fetch('acme', server.at('app.test'));
    for await (const bytes of response.body!) read += bytes.byteLength;
  });
  for (const result of await within('all of them to be cut off', Promise.allSettled(readers))) {
    expect(result).toMatchObject({ status: 'rejected', reason: { reason: 'bytes-budget' } });
  }
  expect(read).toBeLessThanOrEqual(300_000);
  expect(guard.usage('acme').bytes).toBe(300_000);
  await server.quiet();
});

test('an answer that says that it is too large is refused before its body is read', async () => {
  await using server = await serve((_, response) => {
    response.writeHead(200, { 'content-length': '1000000' }).write(chunk);
  });
  const guard = localGuard({ budget: { windowMs, maxBytes: 100_000 } });
  const error = await rejectionOf(guard.fetch('acme', server.at('app.test')));
  expect(error.reason).toBe('bytes-budget');
  expect(guard.usage('acme').bytes).toBeLessThan(10_000);
  await server.quiet();
});

test('a streamed upload is cut off where the budget ends', async () => {
  let arrived = 0;
  await using server = await serveRaw(
    (request) => void request.on('data', ({ length }) => (arrived += length)),
  );
  const guard = localGuard({ budget: { windowMs, maxBytes: 200_000 } });
  const { promise: cancelled, resolve } = Promise.withResolvers<void>();
  const body = new ReadableStream({
    pull: (controller) => controller.enqueue(new TextEncoder().encode(chunk)),
    cancel: () => resolve(),
  });
  const error = await rejectionOf(
    guard.fetch('acme', server.at('app.test'), { method: 'POST', body }),
  );
  expect(error).toMatchObject({ name: 'EgressDeniedError', reason: 'bytes-budget' });
  await within('the source to be cancelled', cancelled);
  await server.quiet();
  expect(arrived).toBeLessThanOrEqual(200_000);
  expect(guard.usage('acme').bytes).toBeLessThanOrEqual(200_000);
});

test('an upload beyond the budget cuts the answer off that has already begun', async () => {
  await using server = await serveRaw((_, response) => void response.write('first'));
  const guard = localGuard({ budget: { windowMs, maxBytes: 200_000 } });
  let goOn = () => {};
  const body = new ReadableStream({
    start: (controller) => {
      controller.enqueue(new Uint8Array(1));
      goOn = () => controller.enqueue(new Uint8Array(200_000));
    },
  });
  const response = await guard.fetch('acme', server.at('app.test'), { method: 'POST', body });
  goOn();
  expect((await rejectionOf(response.text())).reason).toBe('bytes-budget');
  await server.quiet();
});

test('without a budget nothing is counted', async () => {
  await using server = await reached();
  const guard = localGuard();
  for (let n = 0; n < 3; n++) await guard.fetch(`tenant-${n}`, server.at('app.test'));
  expect(guard.usage('tenant-0')).toEqual({ requests: 0, bytes: 0 });
});

test('a budget of nothing admits nothing', async () => {
  const none = localGuard({ budget: { maxRequests: 0 } });
  expect(await rejectionOf(none.fetch('acme', 'http://app.test/'))).toMatchObject({
    reason: 'requests-budget',
  });
  const empty = localGuard({ budget: { maxBytes: 0 } });
  expect(await rejectionOf(empty.fetch('acme', 'http://app.test/'))).toMatchObject({
    reason: 'bytes-budget',
  });
});

test('the exact budget is enough', async () => {
  await using server = await serve((_, response) => void response.end());
  const maxBytes = await bytesOfHeads(server.at('app.test'));
  const guard = localGuard({ budget: { windowMs, maxBytes } });
  expect((await guard.fetch('acme', server.at('app.test'), { method: 'HEAD' })).status).toBe(200);
  expect(guard.usage('acme').bytes).toBe(maxBytes);
});

test.each([
  ['an array with 4,294,967,295 places', () => new Array(2 ** 32 - 1)],
  ['NaN', () => Number.NaN],
  ['a text', () => '12'],
])('a clock that gives %s admits nothing, and says so', async (_, now: () => any) => {
  const guard = localGuard({ budget: { windowMs, maxRequests: 2 }, now });
  expect(await rejectionOf(guard.fetch('acme', 'http://app.test/'))).toMatchObject({
    code: 'ERR_RUNTIME_INVALID_OPTION',
    message: expect.stringContaining('now must return a number'),
  });
});

// The budgets alone, with a clock of the test's.

function at(startMs: number) {
  const clock = { nowMs: startMs };
  const budgets = createBudgets(
    { windowMs: 1_000, maxRequests: 10, maxBytes: 1_000 },
    () => clock.nowMs,
  );
  return { clock, budgets };
}

test.each([0, 37, 99, 100, 12_345.678])(
  'no window of any position holds more than the budget, from %d ms on',
  (startMs) => {
    const { clock, budgets } = at(startMs);
    const taken: number[] = [];
    for (let ms = 0; ms < 5_000; ms += 7) {
      clock.nowMs = startMs + ms;
      if (!budgets.takeRequest('acme')) taken.push(clock.nowMs);
      const inWindow = taken.filter((time) => time > clock.nowMs - 1_000).length;
      expect(inWindow).toBeLessThanOrEqual(10);
      expect(budgets.usage('acme').requests).toBeGreaterThanOrEqual(inWindow);
    }
    // 10 at once, and again after at most 1.1 windows each.
    expect(taken.length).toBeGreaterThanOrEqual(50);
  },
);

test('retryAfterMs is when there is room, and not a step earlier', () => {
  const { clock, budgets } = at(50);
  for (let n = 0; n < 10; n++) {
    clock.nowMs = 50 + n * 20;
    expect(budgets.takeRequest('acme')).toBeUndefined();
  }
  const wait = budgets.takeRequest('acme')!.retryAfterMs!;
  clock.nowMs += wait - 1;
  expect(budgets.takeRequest('acme')).toBeDefined();
  clock.nowMs += 1;
  expect(budgets.takeRequest('acme')).toBeUndefined();
});

test.each([-(2 ** 53) + 1, -123_456.7, 2 ** 53 - 1])(
  'a clock that says %d opens no budget, and ends',
  (nowMs) => {
    const { clock, budgets } = at(nowMs);
    for (let n = 0; n < 10; n++) expect(budgets.takeRequest('acme')).toBeUndefined();
    expect(budgets.takeRequest('acme')).toMatchObject({ reason: 'requests-budget' });
    expect(budgets.usage('acme').requests).toBe(10);
    expect(clock.nowMs).toBe(nowMs);
  },
);

test('what was used in one step leaves the window together, when the last of it does', () => {
  const { clock, budgets } = at(0);
  for (const ms of [10, 90]) {
    clock.nowMs = ms;
    budgets.takeRequest('acme');
  }
  clock.nowMs = 1_089;
  expect(budgets.usage('acme').requests).toBe(2);
  clock.nowMs = 1_090;
  expect(budgets.usage('acme').requests).toBe(0);
});

test('bytes need as much room as they are', () => {
  const { clock, budgets } = at(0);
  budgets.takeBytes('acme', 300);
  clock.nowMs = 500;
  budgets.takeBytes('acme', 600);
  expect(budgets.hold('acme', 100)).toBeUndefined();
  budgets.settle('acme', 100, 0);
  expect(budgets.hold('acme', 101)).toMatchObject({ reason: 'bytes-budget', retryAfterMs: 500 });
  expect(budgets.hold('acme', 401)).toMatchObject({ retryAfterMs: 1_000 });
  expect(budgets.hold('acme', 1_001)!.retryAfterMs).toBeUndefined();
});

test('what is held is not free for others, and stays so through a reset', () => {
  const { budgets } = at(0);
  budgets.hold('acme', 900);
  budgets.reset('acme');
  expect(budgets.hold('acme', 101)).toBeDefined();
  budgets.settle('acme', 900, 400);
  expect(budgets.usage('acme').bytes).toBe(400);
  expect(budgets.hold('acme', 600)).toBeUndefined();
});

test('records are of fixed size, and those of idle tenants are dropped', () => {
  const { clock, budgets } = at(0);
  for (let n = 0; n < 10_000; n++) budgets.takeRequest(`tenant-${n}`);
  expect(budgets.size()).toBe(10_000);
  for (let ms = 0; ms < 10_000; ms += 50) {
    clock.nowMs = ms;
    budgets.takeBytes('busy', 1);
  }
  expect(budgets.size()).toBe(1);
  expect(budgets.usage('tenant-0')).toEqual({ requests: 0, bytes: 0 });
  expect(budgets.size()).toBe(1);
});

test('asking about a tenant, or resetting it, makes no record', () => {
  const { budgets } = at(0);
  expect(budgets.usage('acme')).toEqual({ requests: 0, bytes: 0 });
  budgets.reset('acme');
  expect(budgets.size()).toBe(0);
});

test('a tenant with bytes held is not idle', () => {
  const { clock, budgets } = at(0);
  budgets.hold('uploading', 800);
  clock.nowMs = 60_000;
  budgets.takeRequest('acme');
  expect(budgets.hold('uploading', 201)).toBeDefined();
});

test('a long pause leaves nothing of the past', () => {
  const { clock, budgets } = at(0);
  budgets.takeBytes('acme', 1_000);
  clock.nowMs = 999;
  expect(budgets.usage('acme').bytes).toBe(1_000);
  clock.nowMs = 1_000;
  expect(budgets.usage('acme').bytes).toBe(0);
  budgets.takeBytes('acme', 1_000);
  clock.nowMs = 1e12;
  expect(budgets.usage('acme').bytes).toBe(0);
});

test('requests leave nothing behind in the guard', async () => {
  await using server = await reached();
  const guard = localGuard();
  const once = async () => (await guard.fetch('acme', server.at('app.test'))).text();
  for (let n = 0; n < 50; n++) await once();
  await server.quiet();
  Bun.gc(true);
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 500; n++) await once();
  await server.quiet();
  server.seen.length = 0;
  await aFewTurns();
  Bun.gc(true);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(4 << 20);
});
