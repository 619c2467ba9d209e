import { expect, test } from 'bun:test';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { scrape } from '../support/surface/exposition.ts';
import { attachTo, noExits, noTenants } from '../support/surface/observed.ts';

test('tenants are counted by state, and every state is there', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  expect(scrape(collector).valuesBy('state', 'tenants')).toEqual(noTenants);
  runtime.set('a', { state: 'ready' });
  runtime.set('b', { state: 'ready' });
  runtime.set('c', { state: 'queued' });
  runtime.set('d', { state: 'backing-off' });
  const text = scrape(collector);
  expect(text.valuesBy('state', 'tenants')).toEqual({
    ...noTenants,
    ready: 2,
    queued: 1,
    'backing-off': 1,
  });
  expect(text.value('queue_length')).toBe(1);
});

test('exits are counted by reason, and every reason is there', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  expect(scrape(collector).valuesBy('reason', 'exits_total')).toEqual(noExits);
  runtime.totals.totalExits = { ...noExits, crashed: 3, disposed: 1 };
  expect(scrape(collector).valuesBy('reason', 'exits_total')).toEqual({
    ...noExits,
    crashed: 3,
    disposed: 1,
  });
});

test("the runtime's own totals are passed on in base units", () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector, { maxConcurrent: 7 });
  Object.assign(runtime.totals, {
    draining: true,
    uptimeMs: 90_500,
    totalSpawns: 12,
    totalBackoffEntries: 4,
    checkpoints: { checkpoints: 3, restores: 2, restoreFailures: 1, lastRestoreMs: 5 },
    sleep: { asleep: 1, sleeps: 6, wakes: 5, lastWakeMs: 2 },
  });
  const text = scrape(collector);
  const names = [
    'draining',
    'uptime_seconds',
    'spawns_total',
    'backoff_entries_total',
    'max_tenants',
  ];
  expect(names.map((name) => text.value(name))).toEqual([1, 90.5, 12, 4, 7]);
  const saved = ['checkpoints_total', 'restores_total', 'restore_failures_total'];
  expect(saved.map((name) => text.value(name))).toEqual([3, 2, 1]);
  expect([text.value('sleeps_total'), text.value('wakes_total')]).toEqual([6, 5]);
});

test('max_tenants is the default when it is not set, and may be endless', () => {
  const collector = createRuntimeCollector();
  attachTo(collector, {}, { pool: 'a' });
  attachTo(collector, { maxConcurrent: Infinity }, { pool: 'b' });
  expect(collector.expose().body).toContain('max_tenants{pool="b"} +Inf\n');
  expect(scrape(collector).value('max_tenants', { pool: 'a' })).toBe(100);
});

test('refused calls and adoptions are counted from the events', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  for (const attempt of [1, 2]) {
    runtime.transition({ type: 'backoff', key: 'a', attempt, retryAfterMs: 1 });
  }
  runtime.transition({ type: 'adopt', key: 'b', pid: 1, port: 1 });
  expect(scrape(collector).value('backoff_refusals_total')).toBe(2);
  expect(scrape(collector).value('adoptions_total')).toBe(1);
});

test('a tenant that has outlived an earlier host counts from what it had used by then', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  const found = { port: 1, startedAt: 0, cpuMs: 5_000, linesLost: 0 };
  runtime.transition({ type: 'recover', key: 'a', pid: 1, ...found });
  runtime.observe('a', 1, 7_000, 10);
  expect(scrape(collector).value('recoveries_total')).toBe(1);
  expect(scrape(collector).value('cpu_seconds_total')).toBe(2);
});

test('CPU time is the sum over all processes and does not fall when they end', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  const cpuSeconds = () => scrape(collector).value('cpu_seconds_total');
  runtime.spawn('a', 1);
  runtime.spawn('b', 2);
  runtime.observe('a', 1, 1_500, 0);
  runtime.observe('b', 2, 250, 0);
  expect(cpuSeconds()).toBe(1.75);
  runtime.observe('a', 1, 2_500, 0);
  expect(cpuSeconds()).toBe(2.75);
  runtime.exit('a', 1);
  expect(cpuSeconds()).toBe(2.75);
  runtime.spawn('a', 3);
  runtime.observe('a', 3, 1_000, 0);
  expect(cpuSeconds()).toBe(3.75);
});

test('a pid that is used again counts from zero', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  for (const cpuMs of [3_000, 1_000]) {
    runtime.spawn('a', 1);
    runtime.observe('a', 1, cpuMs, 0);
    runtime.exit('a', 1);
  }
  expect(scrape(collector).value('cpu_seconds_total')).toBe(4);
});

test('two processes of a key, as during a deploy, are counted beside each other', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  runtime.spawn('a', 1);
  runtime.observe('a', 1, 3_000, 10);
  runtime.spawn('a', 2);
  runtime.observe('a', 2, 500, 20);
  runtime.observe('a', 1, 3_100, 10);
  const ofBoth = scrape(collector);
  runtime.exit('a', 1);
  const ofOne = scrape(collector);
  expect(ofBoth.value('resident_memory_bytes')).toBe(30);
  expect(ofOne.value('resident_memory_bytes')).toBe(20);
  expect(ofOne.value('cpu_seconds_total')).toBe(3.6);
});

test('an adopted process counts from its first observation on', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  runtime.transition({ type: 'adopt', key: 'a', pid: 1, port: 1 });
  const seconds = [36_000_000, 36_002_000].map((cpuMs) => {
    runtime.observe('a', 1, cpuMs, 10);
    return scrape(collector).value('cpu_seconds_total');
  });
  expect(seconds).toEqual([0, 2]);
  expect(scrape(collector).value('resident_memory_bytes')).toBe(10);
});

test('a process that seems to have used less than before takes nothing back', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  runtime.spawn('a', 1);
  const seconds = [1_000, 900, 1_100].map((cpuMs) => {
    runtime.observe('a', 1, cpuMs, 0);
    return scrape(collector).value('cpu_seconds_total');
  });
  expect(seconds).toEqual([1, 1, 1.1]);
});

test('a process that was restored with another pid counts from zero', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  runtime.spawn('a', 1);
  runtime.observe('a', 1, 2_000, 10);
  runtime.exit('a', 1);
  runtime.transition({ type: 'restored', key: 'a', pid: 9, port: 1, durationMs: 30 });
  runtime.observe('a', 9, 500, 20);
  const text = scrape(collector);
  expect(text.value('cpu_seconds_total')).toBe(2.5);
  expect(text.value('resident_memory_bytes')).toBe(20);
  expect(text.histogram('restore_duration_seconds')).toMatchObject({ count: 1, sum: 0.03 });
});

test('how long it took to wake a tenant is told from a millisecond on', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  const woken = { type: 'wake', key: 'a', pid: 1, depth: 'frozen' } as const;
  for (const durationMs of [1, 2, 12]) runtime.transition({ ...woken, durationMs });
  const { count, sum, buckets } = scrape(collector).histogram('wake_duration_seconds');
  expect({ count, sum }).toEqual({ count: 3, sum: 0.015 });
  expect([buckets['0.001'], buckets['0.0025'], buckets['0.025']]).toEqual([1, 2, 3]);
});

test('sums have what was seen when a tenant became ready, as its own series do', () => {
  const collector = createRuntimeCollector({ perTenant: { max: 10 } });
  const runtime = attachTo(collector);
  runtime.spawn('a', 1);
  runtime.set('a', { pid: 1, cpuMs: 500, rssBytes: 5_000_000 });
  const sums = () => {
    const text = scrape(collector);
    return [text.value('resident_memory_bytes'), text.value('cpu_seconds_total')];
  };
  expect(sums()).toEqual([5_000_000, 0.5]);
  runtime.observe('a', 1, 600, 4_000_000);
  runtime.set('a', { cpuMs: 600, rssBytes: 4_000_000 });
  expect(sums()).toEqual([4_000_000, 0.6]);
  // Its successor is in the list before its first event has come, and after its exit was told.
  runtime.set('a', { pid: 2, cpuMs: 300, rssBytes: 1_000_000 });
  expect(sums()).toEqual([4_000_000, 0.6]);
  runtime.exit('a', 1);
  expect(sums()).toEqual([0, 0.6]);
  runtime.spawn('a', 2);
  expect(sums()).toEqual([1_000_000, 0.9]);
});

test('resident memory is that of live processes at their last observation', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  const bytes = () => scrape(collector).value('resident_memory_bytes');
  runtime.spawn('a', 1);
  runtime.spawn('b', 2);
  expect(bytes()).toBe(0);
  runtime.observe('a', 1, 0, 5_000_000);
  runtime.observe('b', 2, 0, 1_000_000);
  expect(bytes()).toBe(6_000_000);
  runtime.observe('a', 1, 0, 4_000_000);
  expect(bytes()).toBe(5_000_000);
  runtime.exit('a', 1);
  expect(bytes()).toBe(1_000_000);
  runtime.exit('b', 2);
  expect(bytes()).toBe(0);
});

test('durations fall into cumulative buckets, bounds included', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  for (const durationMs of [5, 6, 1_000, 61_000]) {
    runtime.transition({ type: 'ready', key: 'a', pid: 1, port: 1, durationMs });
  }
  const { buckets, count, sum } = scrape(collector).histogram('ready_duration_seconds');
  expect(buckets).toEqual({
    ...{ '0.005': 1, '0.01': 2, '0.025': 2, '0.05': 2, '0.1': 2, '0.25': 2, '0.5': 2 },
    ...{ '1.0': 3, '2.5': 3, '5.0': 3, '10.0': 3, '30.0': 3, '60.0': 3, '+Inf': 4 },
  });
  expect(count).toBe(4);
  expect(sum).toBeCloseTo(62.011, 9);
});

test('a spawn took from the start of the tenant until its event, if it still is the same process', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  runtime.set('a', { pid: 1, startedAt: Date.now() - 20_000 });
  runtime.spawn('a', 1);
  runtime.set('gone', { pid: null, startedAt: null });
  runtime.spawn('gone', 2);
  runtime.set('replaced', { pid: 4, startedAt: Date.now() });
  runtime.spawn('replaced', 3);
  runtime.spawn('unknown', 5);
  const { buckets, count } = scrape(collector).histogram('spawn_duration_seconds');
  expect([buckets['10.0'], buckets['30.0'], count]).toEqual([0, 1, 1]);
});

test('a clock that was set back makes no negative duration', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  runtime.set('a', { pid: 1, startedAt: Date.now() + 60_000 });
  runtime.spawn('a', 1);
  expect(scrape(collector).histogram('spawn_duration_seconds')).toMatchObject({ count: 1, sum: 0 });
});
