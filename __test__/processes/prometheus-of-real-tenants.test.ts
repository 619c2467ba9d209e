// The collector's totals, compared with the runtime's events about real processes.
import { expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { Recorder, Tenants, until } from '../support/processes/index.ts';
import { scrape } from '../support/surface/exposition.ts';

test('CPU seconds and resident bytes are those of all tenants, and the CPU time of the dead stays', async () => {
  await using tenants = new Tenants();
  const events = new Recorder();
  const collector = createRuntimeCollector({ perTenant: { max: 10 } });
  const options = { source: tenants.source, observeIntervalMs: 20, ...events.callbacks };
  await using runtime = collector.attach(createRuntime, options);
  const keys = ['a', 'b'];
  for (const key of keys) tenants.add(key);

  const seconds: number[] = [];
  for (const _ of [1, 2]) {
    await Promise.all(keys.map((key) => runtime.ensure(key)));
    const told = keys.map((key) => events.observations(key).length);
    await until('an observation of each', () =>
      keys.every((key, i) => events.observations(key).length > told[i]!),
    );
    const text = scrape(collector);
    expect(text.value('resident_memory_bytes')).toBeGreaterThan(1_000_000);
    expect(text.valuesBy('key', 'tenant_ready')).toEqual({ a: 1, b: 1 });
    seconds.push(text.value('cpu_seconds_total'));
    await Promise.all(keys.map((key) => runtime.kill(key)));
    seconds.push(scrape(collector).value('cpu_seconds_total'));
    expect(scrape(collector).value('resident_memory_bytes')).toBe(0);
  }

  expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
  const lastOfEach = new Map(
    keys.flatMap((key) => events.observations(key)).map(({ pid, cpuMs }) => [pid, cpuMs]),
  );
  expect(lastOfEach.size).toBe(4);
  const usedMs = [...lastOfEach.values()].reduce((sum, cpuMs) => sum + cpuMs, 0);
  expect(seconds.at(-1)).toBeCloseTo(usedMs / 1000, 6);
});
