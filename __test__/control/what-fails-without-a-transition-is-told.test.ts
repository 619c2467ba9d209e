import { expect, test } from 'bun:test';
import { openDesk, TALKER, type Desk } from '../support/control/desk.ts';

/** Serves until `next` is there, which is then what a start does. */
const deploys = (desk: Desk, source: string) => desk.house.tenants.write('hello/server.ts', source);

const lastEvent = async (desk: Desk, key: string) => (await desk.tenant(key)).timeline.at(-1)!;

test('a replacement that fails is an event and a problem, until one succeeds', async () => {
  await using desk = await openDesk();
  const { body: before } = await desk.ask('/tenants/hello/start', 'POST');
  deploys(desk, `console.error('cannot find the database'); process.exit(3);`);
  const failed = await desk.ask('/tenants/hello/replace', 'POST');
  expect([failed.status, failed.body.error.code]).toEqual([409, 'ERR_RUNTIME_EXITED_EARLY']);
  expect(await lastEvent(desk, 'hello')).toMatchObject({
    type: 'replace-failed',
    key: 'hello',
    text: `could not be replaced: exited with code 3 before it was ready; process ${before.pid} goes on`,
    code: 'ERR_RUNTIME_EXITED_EARLY',
    reason: 'exited with code 3 before it was ready',
    servingPid: before.pid,
    lines: expect.arrayContaining(['cannot find the database']),
  });
  const { events } = await desk.get('/events?n=1');
  expect(events).toMatchObject([{ type: 'replace-failed', key: 'hello' }]);
  const hello = await desk.tenant('hello');
  expect(hello).toMatchObject({ state: 'running', pid: before.pid, rank: 3 });
  expect(hello.problem).toMatchObject({
    code: 'REPLACE_FAILED',
    summary: 'could not be replaced: exited with code 3 before it was ready',
    advice:
      'It ended before it listened: its last lines say why. ' +
      `Process ${before.pid} serves as before; \`replace\` tries again.`,
    lines: expect.arrayContaining(['cannot find the database']),
  });
  deploys(desk, TALKER);
  const { body: after } = await desk.ask('/tenants/hello/replace', 'POST');
  expect(after).toMatchObject({ state: 'running', rank: 6, problem: null });
  expect(after.pid).not.toBe(before.pid);
});

test('the end of a process that was to replace another is told as that, not as a crash', async () => {
  await using desk = await openDesk();
  const { body: before } = await desk.ask('/tenants/hello/start', 'POST');
  deploys(desk, 'process.exit(3)');
  await desk.ask('/tenants/hello/replace', 'POST');
  const exits = (await desk.tenant('hello')).timeline.filter(({ type }) => type === 'exit');
  expect(exits).toHaveLength(1);
  const { pid, text } = exits[0] as unknown as { pid: number; text: string };
  expect(pid).not.toBe(before.pid);
  expect(text).toBe(`its replacement (process ${pid}) ended with exit code 3`);
  expect(exits[0]).toMatchObject({ isReplacement: true });
  // What serves is told as itself.
  await (await desk.house.ask('hello', '/exit', { method: 'POST' })).text();
  const crash = await desk.eventually('the crash', async () => {
    const { timeline } = await desk.tenant('hello');
    return timeline.find(({ type, ...event }) => type === 'exit' && event.pid === before.pid);
  });
  expect(crash.text).toBe('crashed (with exit code 7)');
  expect('isReplacement' in crash).toBeFalse();
});

test('a replacement that failed is no problem any more once its tenant is stopped', async () => {
  await using desk = await openDesk();
  await desk.ask('/tenants/hello/start', 'POST');
  deploys(desk, 'process.exit(3)');
  await desk.ask('/tenants/hello/replace', 'POST');
  expect((await desk.tenant('hello')).problem?.code).toBe('REPLACE_FAILED');
  await desk.ask('/tenants/hello/stop', 'POST');
  expect(await desk.tenant('hello')).toMatchObject({ state: 'stopped', problem: null });
});

test('clear forgets a replacement that failed', async () => {
  await using desk = await openDesk();
  await desk.ask('/tenants/hello/start', 'POST');
  deploys(desk, 'process.exit(3)');
  await desk.ask('/tenants/hello/replace', 'POST');
  expect((await desk.tenant('hello')).problem?.code).toBe('REPLACE_FAILED');
  const { body } = await desk.ask('/tenants/hello/clear', 'POST');
  expect(body).toMatchObject({ state: 'running', problem: null });
});

test('calls of the host program are told as well: one event for those that shared it', async () => {
  await using desk = await openDesk();
  const { runtime } = desk.house;
  const { pid } = await runtime.ensure('hello');
  deploys(desk, 'process.exit(3)');
  const calls = [runtime.replace('hello'), runtime.replace('hello')];
  await Promise.allSettled(calls);
  const told = (await desk.tenant('hello')).timeline.filter(({ type }) => type.endsWith('-failed'));
  expect(told).toMatchObject([{ type: 'replace-failed', servingPid: pid }]);
});

test('a replacement that is called off is told as that', async () => {
  await using desk = await openDesk();
  const { runtime } = desk.house;
  const { pid } = await runtime.ensure('hello');
  deploys(desk, 'setInterval(() => {}, 1_000)');
  const abort = new AbortController();
  const replaced = runtime.replace('hello', { signal: abort.signal });
  await desk.eventually('the next process', async () => {
    const { timeline } = await desk.tenant('hello');
    return timeline.filter(({ type }) => type === 'spawn').length === 2;
  });
  abort.abort();
  await expect(replaced).rejects.toThrow('aborted');
  const called = (await desk.tenant('hello')).timeline.find(
    ({ type }) => type === 'replace-failed',
  );
  expect(called).toMatchObject({
    text: `could not be replaced: it was called off; process ${pid} goes on`,
    code: 'ERR_RUNTIME_ABORTED',
    servingPid: pid,
  });
  const { problem } = await desk.tenant('hello');
  expect(problem?.advice).toBe(`Process ${pid} serves as before; \`replace\` tries again.`);
});

test('a start that fails without a process is an event, whoever asked for it', async () => {
  await using desk = await openDesk({ runtime: { backoff: { baseMs: 1 } } });
  desk.house.tenants.add('empty', { 'package.json': '{}' });
  expect((await desk.house.ask('empty')).status).toBe(502);
  const first = await desk.eventually('the failure', async () => await lastEvent(desk, 'empty'));
  expect(first).toMatchObject({ type: 'start-failed', key: 'empty', attempt: 1 });
  expect(first.text).toMatch(/^could not be started: .* has no script "start"/);
  const { problem } = await desk.tenant('empty');
  expect(problem).toMatchObject({ code: 'NOT_STARTED', at: first.at, lines: [] });
  await desk.eventually('a second try', async () => {
    const { body } = await desk.ask('/tenants/empty/start', 'POST');
    return body.error.code === 'ERR_RUNTIME_SPAWN';
  });
  expect(await lastEvent(desk, 'empty')).toMatchObject({ type: 'start-failed', attempt: 2 });
});

test('a start without a process says nothing of the process before it', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello')).text();
  await desk.ask('/tenants/hello/stop', 'POST');
  desk.house.tenants.write('hello/package.json', '{}');
  const before = Date.now();
  await desk.ask('/tenants/hello/start', 'POST');
  const { problem } = await desk.tenant('hello');
  expect(problem).toMatchObject({ code: 'NOT_STARTED', lines: [] });
  expect(problem!.at).toBeWithin(before, Date.now() + 1);
});

test('a start that is called off is no failure', async () => {
  await using desk = await openDesk({
    tenants: { slow: 'setInterval(() => {}, 1_000)' },
    runtime: { tenant: () => new Promise(() => {}) },
  });
  const { runtime } = desk.house;
  const started = runtime.ensure('slow');
  started.catch(() => {});
  await desk.ask('/tenants/slow/stop', 'POST');
  await expect(started).rejects.toThrow('stopped before it was started');
  const { timeline, problem } = await desk.tenant('slow');
  expect([timeline, problem]).toEqual([[], null]);
});

test('a start that is called off tells nothing of the one that failed before it', async () => {
  let isHeld = false;
  await using desk = await openDesk({
    runtime: {
      backoff: { baseMs: 1 },
      tenant: () => (isHeld ? new Promise(() => {}) : {}),
    },
  });
  const { runtime } = desk.house;
  desk.house.tenants.add('empty', { 'package.json': '{}' });
  await desk.ask('/tenants/empty/start', 'POST');
  isHeld = true;
  await desk.eventually(
    'the end of its wait',
    async () => (await desk.tenant('empty')).state === 'failed',
  );
  const started = runtime.ensure('empty');
  started.catch(() => {});
  await desk.ask('/tenants/empty/stop', 'POST');
  await expect(started).rejects.toThrow('stopped before it was started');
  const { timeline } = await desk.tenant('empty');
  expect(timeline.map(({ type }) => type)).toEqual(['start-failed']);
});

test('a process that fails is told with its lines, whatever failed before the last that served', async () => {
  await using desk = await openDesk({ runtime: { backoff: { baseMs: 1, minUptimeMs: 0 } } });
  const script = (start: string) =>
    desk.house.tenants.write('app/package.json', JSON.stringify({ scripts: { start } }));
  desk.house.tenants.add('app', { 'package.json': '{}' });
  await desk.ask('/tenants/app/start', 'POST');
  expect((await desk.tenant('app')).problem?.code).toBe('NOT_STARTED');
  script('bun server.ts');
  desk.house.tenants.write('app/server.ts', TALKER);
  await desk.eventually(
    'its start',
    async () => (await desk.ask('/tenants/app/start', 'POST')).status === 200,
  );
  await desk.ask('/tenants/app/stop', 'POST');
  desk.house.tenants.write('app/server.ts', `console.error('no such table'); process.exit(3);`);
  await desk.ask('/tenants/app/start', 'POST');
  const { attempt, problem } = await desk.tenant('app');
  expect(attempt).toBe(1);
  expect(problem).toMatchObject({
    code: 'EXITED_EARLY',
    lines: expect.arrayContaining(['no such table']),
  });
});
