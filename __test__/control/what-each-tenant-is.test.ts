import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'bun:test';
import { createControl } from '@absolutejs/runtime/control';
import { problemOf } from '../../lib/control/words.js';
import { askAt, BROKEN, openDesk, TALKER } from '../support/control/desk.ts';
import { markedWith } from '../support/processes/table.ts';

const KEYS = [
  ...[
    'key',
    'state',
    'depth',
    'rank',
    'pid',
    'port',
    'address',
    'startedAt',
    'uptimeMs',
    'lastTouchedAt',
  ],
  ...['starts', 'crashes', 'exits', 'inFlight', 'waiting', 'requests', 'requestsPerSecond'],
  ...['errorsPerSecond', 'refusedPerSecond', 'p50Ms', 'p99Ms', 'cpuPercent', 'cpuMs', 'rssBytes'],
  ...['memoryLimitBytes', 'limits', 'isolation', 'attempt', 'retryAt', 'problem', 'spark'],
];

test('every directory is a tenant, also one that was never started', async () => {
  await using desk = await openDesk();
  const { at, tenants } = await desk.get('/tenants');
  expect(at).toBeWithin(Date.now() - 60_000, Date.now() + 1);
  expect(tenants.map(({ key }: { key: string }) => key)).toEqual(['broken', 'hello']);
  expect(Object.keys(tenants[0])).toEqual(KEYS);
  expect(tenants[1]).toMatchObject({ state: 'stopped', pid: null, starts: 0, problem: null });
});

test('a directory that comes is there, one that goes is not, and files are none', async () => {
  await using desk = await openDesk();
  const { tenants } = desk.house;
  tenants.write('file.txt', '');
  mkdirSync(join(tenants.root, '.hidden'));
  tenants.add('late');
  const keysNow = async () => {
    const { tenants: all } = await desk.get('/tenants');
    return all.map(({ key }: { key: string }) => key).join();
  };
  await desk.eventually('late', async () => (await keysNow()) === 'broken,hello,late');
  rmSync(join(tenants.root, 'late'), { recursive: true });
  await desk.eventually('late is gone', async () => (await keysNow()) === 'broken,hello');
});

test('a running tenant has its process, its address and its requests', async () => {
  await using desk = await openDesk();
  const before = Date.now();
  for (let count = 0; count < 20; count += 1) await (await desk.house.ask('hello')).text();
  const hello = await desk.eventually('twenty requests', async () => {
    const tenant = await desk.tenant('hello');
    return tenant.requests === 20 && tenant.inFlight === 0 ? tenant : undefined;
  });
  const { pid } = desk.house.runtime.inspect('hello')!;
  expect(hello).toMatchObject({ state: 'running', pid, starts: 1, crashes: 0, exits: 0, rank: 6 });
  expect(hello.address).toBe(`http://hello.localhost:${desk.house.port}/`);
  expect(hello.startedAt).toBeWithin(before, Date.now() + 1);
  expect(hello.p50Ms).toBeGreaterThan(0);
  expect(hello.p99Ms).toBeGreaterThanOrEqual(hello.p50Ms!);
  expect(hello.rssBytes).toBeGreaterThan(1e6);
  expect(hello.timeline.map(({ type }) => type)).toEqual(['spawn', 'ready']);
  expect(hello.timeline[0]!.text).toBe(`started as process ${pid}`);
  expect(hello.lastLines.map(({ line }) => line)).toContain('asked');
});

test('what is wrong comes first, with why and what to do', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello')).text();
  await (await desk.house.ask('broken')).text();
  const { tenants } = await desk.get('/tenants');
  expect(tenants.map(({ key, state }: any) => [key, state])).toEqual([
    ['broken', 'backing-off'],
    ['hello', 'running'],
  ]);
  const { problem, retryAt } = tenants[0];
  expect(problem.code).toBe('EXITED_EARLY');
  expect(problem.summary).toBe('exited with code 3 before it was ready');
  expect(problem.advice).toContain('`clear`');
  expect(problem.lines).toContain('cannot find the database');
  expect(problem.at).toBeWithin(retryAt - 5_000, retryAt);
  expect((await desk.get('/tenants?state=running')).tenants).toHaveLength(1);
});

test('each problem is said once, and how often it has come', async () => {
  await using desk = await openDesk({ runtime: { backoff: { baseMs: 1 } } });
  desk.house.tenants.add('empty', { 'package.json': '{}' });
  const summaryOf = async (key: string) => (await desk.tenant(key)).problem?.summary;
  await desk.ask('/tenants/empty/start', 'POST');
  expect(await summaryOf('empty')).toMatch(/^could not be started: (?!.*Tenant)/);
  for (let count = 0; count < 3; count += 1) {
    await desk.eventually('a try', async () => {
      const { body } = await desk.ask('/tenants/broken/start', 'POST');
      return body.error.code === 'ERR_RUNTIME_EXITED_EARLY';
    });
  }
  expect(await summaryOf('broken')).toBe(
    'exited with code 3 before it was ready (3 times in a row)',
  );
});

test('a tenant that does not answer is told in a sentence of its own', async () => {
  await using desk = await openDesk({
    tenants: { mute: 'setInterval(() => {}, 1_000)' },
    runtime: { readinessTimeoutMs: 50 },
  });
  await desk.ask('/tenants/mute/start', 'POST');
  const { problem } = await desk.tenant('mute');
  expect(problem).toMatchObject({
    code: 'NOT_READY',
    summary: expect.stringMatching(/^did not answer GET \/ on its port \d+ within 0.05s: nothing/),
  });
});

test('a crash is told, and a tenant that has crashed is failed until it runs again', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello')).text();
  // A GET would be tried once more.
  await (await desk.house.ask('hello', '/exit', { method: 'POST' })).text();
  const crashed = await desk.eventually('the crash', async () => {
    const tenant = await desk.tenant('hello');
    return tenant.state === 'failed' ? tenant : undefined;
  });
  expect(crashed).toMatchObject({ pid: null, crashes: 1, exits: 1, rank: 0 });
  expect(crashed.problem).toMatchObject({ code: 'CRASHED', summary: 'crashed with exit code 7' });
  await (await desk.house.ask('hello')).text();
  const again = await desk.tenant('hello');
  expect(again).toMatchObject({ state: 'running', starts: 2 });
  expect(again.problem?.summary).toBe('crashed with exit code 7, and runs again');
});

test('of a tenant that something else killed, memory is named', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello')).text();
  process.kill((await desk.tenant('hello')).pid!, 'SIGKILL');
  const killed = await desk.eventually('the crash', async () => {
    const tenant = await desk.tenant('hello');
    return tenant.state === 'failed' ? tenant : undefined;
  });
  expect(killed.problem).toMatchObject({ code: 'CRASHED', summary: 'crashed by SIGKILL' });
  expect(killed.problem?.advice).toContain('out of memory');
});

test('5xx in the last minute are a problem', async () => {
  await using desk = await openDesk();
  // Errors count from when the process is known to have been started.
  await (await desk.house.ask('hello')).text();
  await (await desk.house.ask('hello', '/500')).text();
  const hello = await desk.eventually('the answer', async () => {
    const tenant = await desk.tenant('hello');
    return tenant.problem === null ? undefined : tenant;
  });
  expect(hello).toMatchObject({ rank: 3, problem: { code: 'SERVER_ERRORS' } });
  expect(hello.errorsPerSecond).toBeGreaterThan(0);
});

test('what the gateway refuses while a tenant runs is told, and is no problem of the tenant', async () => {
  const shop = `const held = [];
    Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, async fetch({ url }) {
      if (url.endsWith('/hold')) await new Promise((go) => held.push(go));
      if (url.endsWith('/go')) for (const go of held) go();
      return new Response('yes'); } });`;
  const gateway = { limits: { requestsPerTenant: 1 } };
  await using desk = await openDesk({ tenants: { shop }, gateway });
  // Counted from when the process is known to have been started.
  await (await desk.house.ask('shop')).text();
  const held = desk.house.ask('shop', '/hold');
  const { port } = await desk.eventually('the held one', async () => {
    const tenant = await desk.tenant('shop');
    return tenant.inFlight === 1 ? tenant : undefined;
  });
  expect((await desk.house.ask('shop')).status).toBe(503);
  const refused = await desk.eventually('the refusal', async () => {
    const tenant = await desk.tenant('shop');
    return tenant.refusedPerSecond > 0 ? tenant : undefined;
  });
  expect(refused).toMatchObject({ state: 'running', rank: 6, errorsPerSecond: 0, problem: null });
  await fetch(`http://127.0.0.1:${port}/go`);
  expect((await held).status).toBe(200);
});

test('what the gateway refuses itself is told, and is no error of the tenant', async () => {
  await using desk = await openDesk({ tenants: { shop: BROKEN } });
  for (let count = 0; count < 3; count += 1) await (await desk.house.ask('shop')).text();
  const refused = await desk.eventually('three refusals', async () => {
    const tenant = await desk.tenant('shop');
    return tenant.requests === 3 && tenant.inFlight === 0 ? tenant : undefined;
  });
  expect(refused).toMatchObject({ errorsPerSecond: 0, refusedPerSecond: 0.05, p50Ms: null });
  desk.house.tenants.write('shop/server.ts', TALKER);
  await desk.ask('/tenants/shop/restart', 'POST');
  expect(await desk.tenant('shop')).toMatchObject({
    ...{ state: 'running', rank: 6, problem: { code: 'CRASHED' }, requests: 3 },
    ...{ errorsPerSecond: 0, refusedPerSecond: 0, p50Ms: null, p99Ms: null },
  });
  await (await desk.house.ask('shop', '/500')).text();
  await desk.eventually('its own', async () => (await desk.tenant('shop')).errorsPerSecond > 0);
});

test('each state says once, and truly, how its tenant is started again', async () => {
  const runtime = { backoff: { baseMs: 60_000, maxFailures: 2, minUptimeMs: 600_000 } };
  await using desk = await openDesk({ runtime });
  const adviceOf = async (key: string) => (await desk.tenant(key)).problem!.advice;
  await desk.ask('/tenants/broken/start', 'POST');
  expect(await adviceOf('broken')).toEndWith(
    '. The first request after its wait starts it; `restart` does so at once, and `clear` ends its wait.',
  );
  const waiting = await desk.ask('/tenants/broken/start', 'POST');
  expect(waiting.body.error.message).toMatch(
    /; retry in \d+ms, at once by `restart`, or after `clear`\. Last error: /,
  );
  await desk.ask('/tenants/broken/restart', 'POST');
  expect((await desk.tenant('broken')).state).toBe('failed');
  expect(await adviceOf('broken')).toEndWith(
    '. Requests do not start it any more: `restart` does, and after `clear` the next request.',
  );
});

test('after its wait, or after a crash, the next request starts a tenant, and that is said once', async () => {
  await using desk = await openDesk({ runtime: { backoff: { baseMs: 1, minUptimeMs: 600_000 } } });
  const again = '. The next request starts it, and so does `start`.';
  await desk.ask('/tenants/broken/start', 'POST');
  const failedOf = (key: string) => async () => {
    const tenant = await desk.tenant(key);
    return tenant.state === 'failed' ? tenant.problem! : undefined;
  };
  const { advice } = await desk.eventually('the end of its wait', failedOf('broken'));
  expect(advice).toEndWith(again);
  expect(advice).not.toContain('clear');
  await (await desk.house.ask('hello')).text();
  await (await desk.house.ask('hello', '/exit', { method: 'POST' })).text();
  const crash = await desk.eventually('the crash', failedOf('hello'));
  expect([crash.code, crash.advice]).toEqual(['CRASHED', `Its last lines say why${again}`]);
});

test('a wait that is over is not told, whatever clock its end is of', () => {
  const lastExit = { reason: 'crashed', exitCode: 7, at: 1_000, lines: [] };
  const status = { state: 'stopped', attempt: 1, crashes: 1, retryAt: 1_002, lastExit };
  const seen = { state: 'failed', rssBytes: null, memoryLimitBytes: null, errorsPerSecond: 0 };
  const adviceIn = (state: string) =>
    problemOf({ ...seen, status: { ...status, state }, now: 1_001 } as never)!.advice;
  expect(adviceIn('stopped')).toEndWith('The next request starts it, and so does `start`.');
  expect(adviceIn('backing-off')).toContain('after its wait');
});

test('the host says what it is', async () => {
  await using desk = await openDesk({ control: { name: 'a host' } });
  // A request may be answered before the host is told that its tenant runs.
  await desk.house.runtime.ensure('hello');
  const host = await desk.get('/host');
  expect(host).toMatchObject({
    name: 'a host',
    engine: `bun ${process.versions.bun}`,
    pid: process.pid,
    runtime: { running: 1, total: 1, maxConcurrent: 100, draining: false, backoff: 0, starts: 1 },
    root: desk.house.tenants.root,
    survive: null,
    protects: { limits: [], isolation: null, missing: [] },
    control: { path: desk.path, name: 'a host' },
    dashboard: null,
  });
  expect(host.gateway.addresses).toEqual([`http://127.0.0.1:${desk.house.port}`]);
  expect(host.memory.availableBytes).toBeWithin(1, host.memory.totalBytes + 1);
});

test('columns of figures are kept, and a client that stays gets each', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello')).text();
  using followed = desk.follow('/tenants/hello');
  expect((await followed.next('tenant')).data.key).toBe('hello');
  const { data } = await followed.next('figures', ({ cpuPercent }) => cpuPercent !== null);
  expect(data.rssBytes).toBeGreaterThan(1e6);
  const { figures } = await desk.tenant('hello');
  expect(figures.at).toContain(data.at);
  expect(figures.everyMs).toBe(2_000);
  expect(figures.cpuPercent).toHaveLength(figures.at.length);
});

test('rates begin when the control is opened, totals with the gateway', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello', '/500')).text();
  for (let count = 0; count < 30; count += 1) await (await desk.house.ask('hello')).text();
  const { runtime, gateway } = desk.house;
  await desk.eventually('all of them', async () => gateway.stats().byKey('hello').inFlight === 0);
  const path = `${desk.path}.2`;
  await using control = createControl({ runtime, gateway, path });
  await control.listening;
  const hello = async () => (await askAt(path, '/tenants/hello')).body;
  expect(await hello()).toMatchObject({ requests: 31, errorsPerSecond: 0, p50Ms: null, rank: 6 });
  const { figures } = await desk.eventually('a column', async () => {
    const tenant = await hello();
    return tenant.figures.requestsPerSecond.includes(0) ? tenant : undefined;
  });
  expect(figures.requestsPerSecond).toEqual(figures.requestsPerSecond.map(() => 0));
  await (await desk.house.ask('hello')).text();
  await desk.eventually('an answer', async () => (await hello()).p50Ms > 0);
});

test('a client that stays is told what changes, and the host each second', async () => {
  await using desk = await openDesk();
  using followed = desk.follow('/tenants');
  const { data } = await followed.next('tenants');
  expect(data.tenants).toHaveLength(2);
  await (await desk.house.ask('hello')).text();
  // A start that takes longer is told as such before.
  const isRunning = ({ state }: any) => state === 'running';
  const { tenants } = (await followed.next('changed', ({ tenants }) => tenants.some(isRunning)))
    .data;
  expect(tenants.map(({ key }: any) => key)).toEqual(['hello']);
  desk.house.tenants.add('late');
  await followed.next('changed', (changed) =>
    changed.tenants.some(({ key }: any) => key === 'late'),
  );
  rmSync(join(desk.house.tenants.root, 'late'), { recursive: true });
  await followed.next('changed', ({ gone }) => gone.includes('late'));
  await followed.next('host', ({ runtime }) => runtime.running === 1);
});

test('a tenant that nothing happens to is not told again', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello')).text();
  using followed = desk.follow('/tenants?state=stopped');
  await followed.next('tenants', ({ tenants }) => tenants.length === 1);
  const hosts = () => followed.told.filter(({ event }) => event === 'host').length;
  await desk.eventually('some seconds', async () => hosts() > 3);
  const changed = followed.told.filter(({ event }) => event === 'changed');
  expect(changed.flatMap(({ data }) => data.tenants)).toEqual([]);
});

test('what a control looks at is told to nobody else', async () => {
  const told: string[] = [];
  const onMetrics = ({ type }: { type: string }) => void told.push(type);
  await using desk = await openDesk({ runtime: { onMetrics, observeIntervalMs: 0 } });
  await (await desk.house.ask('hello')).text();
  using followed = desk.follow('/tenants/hello');
  await followed.next('figures', ({ cpuPercent }) => cpuPercent !== null);
  expect(told).toEqual(['spawn']);
});

test('nothing of a control is left when it is closed', async () => {
  await using desk = await openDesk();
  using followed = desk.follow('/tenants');
  await followed.next('tenants');
  await desk.control.close();
  await desk.eventually('the end of the stream', async () => followed.isOver);
  expect(markedWith(desk.path)).toEqual([]);
  await expect(desk.ask('/host')).rejects.toThrow();
});
