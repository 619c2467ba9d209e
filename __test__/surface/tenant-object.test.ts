import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { aFewTurns, nextMillisecond } from '../support/surface/wait.ts';

const KEYS = ['key', 'port', 'pid', 'startedAt', 'lastTouchedAt'];

test('a tenant has exactly the documented fields, in order', async () => {
  await using bench = setUp();
  const before = Date.now();
  const tenant = await bench.runtime.ensure('a');
  const after = Date.now();

  expect(Object.keys(tenant)).toEqual(KEYS);
  expect(Reflect.ownKeys(tenant)).toEqual(KEYS);
  expect(tenant.key).toBe('a');
  expect(tenant.pid).toBe(bench.fleet.the('a').pid);
  for (const time of [tenant.startedAt, tenant.lastTouchedAt]) {
    expect(Number.isInteger(time)).toBeTrue();
    expect(time).toBeWithin(before, after + 1);
  }
  expect(tenant.lastTouchedAt).toBeGreaterThanOrEqual(tenant.startedAt);
});

test('resourceId is there only when the process gave one', async () => {
  await using bench = setUp();
  bench.fleet.prepare = (process) => {
    if (process.key === 'with') process.resourceId = 'container-1';
    if (process.key === 'undefined') Object.assign(process, { resourceId: undefined });
  };
  const tenant = await bench.runtime.ensure('with');
  expect(Object.keys(tenant)).toEqual([...KEYS, 'resourceId']);
  expect(tenant.resourceId).toBe('container-1');
  for (const key of ['without', 'undefined']) {
    expect('resourceId' in (await bench.runtime.ensure(key))).toBeFalse();
  }
});

test('equality, JSON, spread and structuredClone see every field', async () => {
  await using bench = setUp();
  bench.fleet.prepare = (process) => void (process.resourceId = 'container-1');
  const tenant = await bench.runtime.ensure('a');
  const expected = {
    key: 'a',
    port: Number(bench.fleet.the('a').args.env.PORT),
    pid: bench.fleet.the('a').pid,
    startedAt: tenant.startedAt,
    lastTouchedAt: tenant.lastTouchedAt,
    resourceId: 'container-1',
  };
  expect(tenant).toEqual(expected);
  expect(tenant).toStrictEqual(expected);
  expect(JSON.stringify(tenant)).toBe(JSON.stringify(expected));
  expect({ ...tenant }).toStrictEqual(expected);
  expect(structuredClone(tenant)).toStrictEqual(expected);
  expect(Object.entries(tenant)).toEqual(Object.entries(expected));
  expect(Object.assign({}, tenant)).toStrictEqual(expected);
  expect(tenant).not.toEqual({ ...expected, lastTouchedAt: expected.lastTouchedAt + 1 });
});

test('its fields are plain data, shown as such', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const fields = Object.values(Object.getOwnPropertyDescriptors(tenant));
  for (const field of fields)
    expect(field).toMatchObject({ enumerable: true, writable: true, configurable: true });
  expect(Bun.inspect(tenant)).toContain(`lastTouchedAt: ${tenant.lastTouchedAt}`);
});

test('a frozen object does not change, and its key can be touched all the same', async () => {
  await using bench = setUp();
  const tenant = Object.freeze(await bench.runtime.ensure('a'));
  const before = tenant.lastTouchedAt;
  await nextMillisecond();
  bench.runtime.touch('a');
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(tenant.lastTouchedAt).toBe(before);
  expect(bench.runtime.inspect('a')!.lastTouchedAt).toBeGreaterThan(before);
});

test('a copy does not change', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const copy = { ...tenant };
  const before = copy.lastTouchedAt;
  await nextMillisecond();
  bench.runtime.touch('a');
  expect(copy.lastTouchedAt).toBe(before);
  expect(tenant.lastTouchedAt).toBeGreaterThan(before);
});

test('touch moves lastTouchedAt on the object that the caller holds', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  await nextMillisecond();
  const before = Date.now();
  bench.runtime.touch('a');
  expect(tenant.lastTouchedAt).toBeWithin(before, Date.now() + 1);
});

test('ensure moves lastTouchedAt, at once', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  await nextMillisecond();
  const before = Date.now();
  const again = bench.runtime.ensure('a');
  expect(tenant.lastTouchedAt).toBeWithin(before, Date.now() + 1);
  expect(await again).toBe(tenant);
});

test('nothing but touch and ensure moves lastTouchedAt, and touching another key does not', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  await bench.runtime.ensure('b');
  const before = tenant.lastTouchedAt;
  await nextMillisecond();
  bench.runtime.touch('b');
  bench.runtime.stats();
  bench.runtime.clearBackoff('a');
  bench.runtime.drain();
  await bench.runtime.kill('b');
  expect(tenant.lastTouchedAt).toBe(before);
});

test('startedAt does not move', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const { startedAt } = tenant;
  await nextMillisecond();
  bench.runtime.touch('a');
  await bench.runtime.ensure('a');
  expect(tenant.startedAt).toBe(startedAt);
});

test('all callers for a running or spawning tenant get the same object', async () => {
  await using bench = setUp();
  const joined = await Promise.all([1, 2, 3].map(() => bench.runtime.ensure('a')));
  const later = await bench.runtime.ensure('a');
  expect(new Set([...joined, later]).size).toBe(1);
});

test('after a restart there is a new object, and the old one stands still', async () => {
  await using bench = setUp();
  const old = await bench.runtime.ensure('a');
  const fresh = await bench.runtime.restart('a');
  expect(fresh).not.toBe(old);
  expect(fresh.pid).toBe(bench.fleet.of('a')[1]!.pid);
  const { lastTouchedAt } = old;
  await nextMillisecond();
  bench.runtime.touch('a');
  expect(await bench.runtime.ensure('a')).toBe(fresh);
  expect(old.lastTouchedAt).toBe(lastTouchedAt);
  expect(fresh.lastTouchedAt).toBeGreaterThan(lastTouchedAt);
});

test('an object outlives its tenant and the runtime', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const copy = { ...tenant };
  await bench.runtime.kill('a');
  await nextMillisecond();
  bench.runtime.touch('a');
  expect({ ...tenant }).toStrictEqual(copy);
  await bench.runtime.dispose();
  expect({ ...tenant }).toStrictEqual(copy);
});

test('the port is the one in PORT, or the one that the process says', async () => {
  await using bench = setUp();
  bench.fleet.prepare = (process) => void (process.key === 'own' && (process.port = 45_678));
  const offered = await bench.runtime.ensure('offered');
  expect(offered.port).toBe(Number(bench.fleet.the('offered').args.env.PORT));
  expect((await bench.runtime.ensure('own')).port).toBe(45_678);
});

test('tenants that live at once have different ports and their own clocks', async () => {
  await using bench = setUp();
  const tenants = await Promise.all(['a', 'b', 'c', 'd'].map((key) => bench.runtime.ensure(key)));
  expect(new Set(tenants.map(({ port }) => port)).size).toBe(4);
  const before = tenants.map(({ lastTouchedAt }) => lastTouchedAt);
  await nextMillisecond();
  bench.runtime.touch('c');
  const moved = tenants.map(({ lastTouchedAt }, index) => lastTouchedAt > before[index]!);
  expect(moved).toEqual([false, false, true, false]);
});

test('touching a key that is unknown, or still spawning, does nothing', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  bench.runtime.touch('unknown');
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  bench.runtime.touch('a');
  await aFewTurns();
  expect(bench.events.story).toEqual(['spawn a']);
  answer('a', true);
  expect((await pending).key).toBe('a');
});
