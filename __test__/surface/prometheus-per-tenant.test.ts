import { expect, test } from 'bun:test';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { scrape } from '../support/surface/exposition.ts';
import { attachTo } from '../support/surface/observed.ts';

test('the number of series does not depend on the number of tenants', () => {
  const collector = createRuntimeCollector();
  const runtime = attachTo(collector);
  const lines = () => collector.expose().body.split('\n').length;
  const before = lines();
  for (let pid = 1; pid <= 50; pid += 1) {
    runtime.set(`t${pid}`, { pid, state: 'ready', cpuMs: 1, rssBytes: 1 });
    runtime.spawn(`t${pid}`, pid);
    runtime.observe(`t${pid}`, pid, 1, 1);
  }
  expect(lines()).toBe(before);
  expect(collector.expose().body).not.toContain('key=');
});

test('single tenants get series where that is asked for, and lose them when they are gone', () => {
  const collector = createRuntimeCollector({ perTenant: { max: 10 } });
  const runtime = attachTo(collector);
  runtime.set('a', { state: 'ready', pid: 1, cpuMs: 1_500, rssBytes: 4_096 });
  runtime.set('b', { state: 'spawning', pid: 2 });
  runtime.set('c', { state: 'backing-off' });
  runtime.set('d', { state: 'asleep', pid: 3, depth: 'frozen' });
  const text = scrape(collector);
  expect(text.valuesBy('key', 'tenant_ready')).toEqual({ a: 1, b: 0, d: 1 });
  expect(text.valuesBy('key', 'tenant_cpu_seconds_total')).toEqual({ a: 1.5 });
  expect(text.valuesBy('key', 'tenant_resident_memory_bytes')).toEqual({ a: 4_096 });
  expect(text.value('tenants_without_series')).toBe(0);
  runtime.tenants.delete('a');
  expect(scrape(collector).valuesBy('key', 'tenant_ready')).toEqual({ b: 0, d: 1 });
  expect(scrape(collector).names()).not.toContain('tenant_cpu_seconds_total');
});

test('beyond the cap the heaviest keep their series, be it in CPU time or in memory', () => {
  const collector = createRuntimeCollector({ perTenant: { max: 2 } });
  const runtime = attachTo(collector);
  for (let pid = 1; pid <= 8; pid += 1) runtime.set(`t${pid}`, { pid, cpuMs: 10, rssBytes: 10 });
  runtime.set('burner', { pid: 9, cpuMs: 900, rssBytes: 1 });
  runtime.set('hoarder', { pid: 10, cpuMs: 1, rssBytes: 900 });
  const text = scrape(collector);
  expect(Object.keys(text.valuesBy('key', 'tenant_ready')).sort()).toEqual(['burner', 'hoarder']);
  expect(text.value('tenants_without_series')).toBe(8);
});

test('of equals just as many keep their series as there is room for', () => {
  const collector = createRuntimeCollector({ perTenant: { max: 3 } });
  const runtime = attachTo(collector);
  for (let pid = 1; pid <= 7; pid += 1) runtime.set(`t${pid}`, { pid });
  runtime.set('heavy', { pid: 8, cpuMs: 5, rssBytes: 5 });
  const keys = Object.keys(scrape(collector).valuesBy('key', 'tenant_ready'));
  expect(keys).toHaveLength(3);
  expect(keys).toContain('heavy');
});

test('each runtime has a cap of its own', () => {
  const collector = createRuntimeCollector({ perTenant: { max: 1 } });
  for (const pool of ['a', 'b']) {
    const runtime = attachTo(collector, {}, { pool });
    runtime.set('x', { pid: 1, cpuMs: 2, rssBytes: 2 });
    runtime.set('y', { pid: 2, cpuMs: 1, rssBytes: 1 });
  }
  const text = scrape(collector);
  expect(text.value('tenant_ready', { pool: 'a', key: 'x' })).toBe(1);
  expect(text.value('tenant_ready', { pool: 'b', key: 'x' })).toBe(1);
  expect(text.value('tenants_without_series', { pool: 'b' })).toBe(1);
});
