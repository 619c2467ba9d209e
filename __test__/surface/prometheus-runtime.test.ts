import { expect, test } from 'bun:test';
import { createRuntime, type RuntimeOptions } from '@absolutejs/runtime';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { manualReadiness, source } from '../support/surface/bench.ts';
import { scrape } from '../support/surface/exposition.ts';
import { Fleet } from '../support/surface/fleet.ts';
import { Recorder } from '../support/surface/recorder.ts';
import { rejectionOf, within } from '../support/surface/wait.ts';

/** A real runtime on a collector; its tenants are in memory. */
function setUp(options: Partial<RuntimeOptions> = {}) {
  const fleet = new Fleet();
  const events = new Recorder();
  const collector = createRuntimeCollector({ perTenant: { max: 10 } });
  const base = { source, spawn: fleet.spawn, readiness: async () => true, ...events.callbacks };
  const runtime = collector.attach(createRuntime, { ...base, ...options });
  const clean = async () => (fleet.release(), await within('the clean-up', runtime.dispose()));
  return { fleet, events, collector, runtime, [Symbol.asyncDispose]: clean };
}

test('a tenant is counted from the queue to its exit', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ spawnConcurrency: 1, readiness });
  const { runtime, fleet, collector } = bench;
  const both = [runtime.ensure('a'), runtime.ensure('b')];
  await fleet.called('a');
  await bench.events.seen('spawn', 'a');
  const starting = scrape(collector);
  expect(starting.valuesBy('state', 'tenants')).toMatchObject({ queued: 1, spawning: 1, ready: 0 });
  expect(starting.value('queue_length')).toBe(1);
  expect(starting.histogram('spawn_duration_seconds').count).toBe(1);
  expect(starting.histogram('ready_duration_seconds').count).toBe(0);
  answer('a', true);
  answer('b', true);
  await within('both are ready', Promise.all(both));
  const running = scrape(collector);
  expect(running.valuesBy('state', 'tenants')).toMatchObject({ queued: 0, spawning: 0, ready: 2 });
  expect(running.value('spawns_total')).toBe(2);
  expect(running.histogram('spawn_duration_seconds').count).toBe(2);
  expect(running.histogram('ready_duration_seconds').count).toBe(2);
  expect(running.valuesBy('key', 'tenant_ready')).toEqual({ a: 1, b: 1 });
  await runtime.kill('a');
  await runtime.dispose();
  // The last numbers can still be scraped.
  const over = scrape(collector);
  expect(over.valuesBy('reason', 'exits_total')).toMatchObject({
    killed: 1,
    disposed: 1,
    crashed: 0,
  });
  expect(over.valuesBy('state', 'tenants')).toMatchObject({ ready: 0 });
  expect(over.names()).not.toContain('tenant_ready');
});

test('failed starts and the calls that are refused because of them', async () => {
  const spawn = async () => Promise.reject(new Error('no image'));
  await using bench = setUp({ spawn, backoff: { baseMs: 600_000, maxMs: 600_000 } });
  await rejectionOf(bench.runtime.ensure('broken'));
  for (const _ of [1, 2]) await rejectionOf(bench.runtime.ensure('broken'));
  const text = scrape(bench.collector);
  expect(text.value('backoff_entries_total')).toBe(1);
  expect(text.value('backoff_refusals_total')).toBe(2);
  expect(text.valuesBy('state', 'tenants')).toMatchObject({ 'backing-off': 1 });
});

test('how full it is, and whether it drains', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  await bench.runtime.ensure('b');
  bench.runtime.drain();
  const text = scrape(bench.collector);
  expect([text.value('max_tenants'), text.value('draining')]).toEqual([1, 1]);
  expect(text.value('exits_total', { reason: 'lru-evicted' })).toBe(1);
  expect(text.value('uptime_seconds')).toBeGreaterThan(0);
});

test("the user's callbacks get the same events as without a collector", async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  await bench.runtime.kill('a');
  expect(bench.events.story).toEqual(['spawn a', 'metric spawn a', 'ready a', 'exit a']);
});
