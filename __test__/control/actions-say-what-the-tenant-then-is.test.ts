import { existsSync } from 'node:fs';
import { expect, test } from 'bun:test';
import { openDesk } from '../support/control/desk.ts';
import { within } from '../support/processes/until.ts';

test('start, restart, replace and stop answer with the tenant', async () => {
  await using desk = await openDesk();
  const act = async (action: string) => {
    const { status, body } = await desk.ask(`/tenants/hello/${action}`, 'POST');
    return [status, body.state, body.pid] as const;
  };
  const [status, state, pid] = await act('start');
  expect([status, state]).toEqual([200, 'running']);
  expect(pid).toBe(desk.house.runtime.inspect('hello')!.pid);
  const [, restarted, second] = await act('restart');
  expect(restarted).toBe('running');
  expect(second).not.toBe(pid);
  const [, replaced, third] = await act('replace');
  expect(replaced).toBe('running');
  expect(third).not.toBe(second);
  expect(await act('stop')).toEqual([200, 'stopped', null]);
});

test('a start that is refused says why, and clear lets it be tried again', async () => {
  await using desk = await openDesk();
  const failed = await desk.ask('/tenants/broken/start', 'POST');
  expect(failed.status).toBe(409);
  expect(failed.body.error).toMatchObject({ code: 'ERR_RUNTIME_EXITED_EARLY', key: 'broken' });
  expect(failed.body.error.message).toContain('cannot find the database');
  const refused = await desk.ask('/tenants/broken/start', 'POST');
  expect(refused.status).toBe(503);
  expect(refused.body.error.code).toBe('ERR_RUNTIME_BACKOFF');
  expect(Number(refused.headers['retry-after'])).toBeWithin(1, 3);
  const cleared = await desk.ask('/tenants/broken/clear', 'POST');
  expect(cleared.body).toMatchObject({ state: 'failed', attempt: 0, retryAt: null });
  expect((await desk.ask('/tenants/broken/start', 'POST')).status).toBe(409);
});

test('only tenants that are there are acted on', async () => {
  await using desk = await openDesk();
  desk.house.tenants.add('org/app');
  for (const key of ['nobody', '..', '%2e%2e', '%2Fetc', 'hello%2F..%2Fbroken', 'a%00b', '']) {
    const { status, body } = await desk.ask(`/tenants/${key}/start`, 'POST');
    expect([key, status, body.error.code]).toEqual([key, 404, 'NOT_FOUND']);
  }
  const nested = await desk.ask('/tenants/org%2Fapp/start', 'POST');
  expect([nested.status, nested.body.key, nested.body.state]).toEqual([200, 'org/app', 'running']);
  expect(desk.house.starts).toEqual(['org/app']);
});

test('keys of every kind have their address', async () => {
  const keys = ['ü ber', 'a%2Fb', '%2e%2e', '__proto__', 'constructor', 'a?b&c#d', '日本'];
  await using desk = await openDesk({ tenants: {} });
  for (const key of keys) desk.house.tenants.add(key);
  await desk.eventually(
    'all of them',
    async () => (await desk.get('/tenants')).tenants.length === 7,
  );
  for (const key of keys) {
    const address = `/tenants/${encodeURIComponent(key)}`;
    expect((await desk.get(address)).key).toBe(key);
    expect((await desk.get(`${address}/logs`)).lines).toEqual([]);
    expect((await desk.ask(`${address}/clear`, 'POST')).body.key).toBe(key);
  }
});

test('an address takes its methods and parameters, and no others', async () => {
  await using desk = await openDesk();
  const answers = async (path: string, method: string) => {
    const { status, headers, body } = await desk.ask(path, method);
    return [status, headers.allow ?? body.error.code];
  };
  expect(await answers('/tenants', 'POST')).toEqual([405, 'GET, HEAD']);
  expect(await answers('/tenants/hello', 'DELETE')).toEqual([405, 'GET, HEAD']);
  expect(await answers('/tenants/hello/stop', 'GET')).toEqual([405, 'POST']);
  expect(await answers('/drain', 'GET')).toEqual([405, 'POST']);
  expect(await answers('/', 'GET')).toEqual([404, 'NOT_FOUND']);
  expect(await answers('/tenants/hello/kill', 'POST')).toEqual([404, 'NOT_FOUND']);
  expect(await answers('/tenants/%zz', 'GET')).toEqual([400, 'BAD_QUERY']);
  expect(await answers('/tenants?state=ready', 'GET')).toEqual([400, 'BAD_QUERY']);
  const { body } = await desk.ask('/tenants/hello/logs?sinse=1m');
  expect(body.error.message).toBe('sinse is not a parameter of this address; did you mean since?');
  const head = await desk.ask('/host', 'HEAD');
  expect([head.status, head.text]).toEqual([200, '']);
});

test('drain ends what is open in order, and then the host', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello')).text();
  const { status, body } = await desk.ask('/drain', 'POST');
  expect([status, body.runtime.draining]).toEqual([202, true]);
  await within('the end', desk.control.drained);
  expect(desk.house.tenants.processes().filter(({ pid }) => pid !== process.pid)).toEqual([]);
  expect(existsSync(desk.path)).toBe(false);
  expect(desk.house.gateway.stats().connections).toBe(0);
});

test('events say what happened, in words and in fields', async () => {
  await using desk = await openDesk();
  await desk.ask('/tenants/hello/start', 'POST');
  await desk.ask('/tenants/hello/stop', 'POST');
  await desk.ask('/tenants/broken/start', 'POST');
  const { events } = await desk.get('/events?key=hello');
  expect(events.map(({ type, text }: any) => `${type}: ${text}`)).toEqual([
    expect.stringMatching(/^spawn: started as process \d+$/),
    expect.stringMatching(/^ready: ready after .+ on port \d+$/),
    'exit: was stopped',
  ]);
  expect(events[2]).toMatchObject({ key: 'hello', reason: 'killed', pid: events[0].pid });
  const last = (await desk.get('/events?n=1')).events;
  expect(last).toMatchObject([{ key: 'broken', type: 'exit', text: 'crashed (with exit code 3)' }]);
  const { seq } = events[1];
  using followed = desk.follow('/events', { 'last-event-id': String(seq) });
  const { id } = await followed.next('event');
  expect(Number(id)).toBe(seq + 1);
  await desk.ask('/tenants/hello/start', 'POST');
  await followed.next('event', ({ type, key }) => type === 'ready' && key === 'hello');
});
