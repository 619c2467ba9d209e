import { expect, test } from 'bun:test';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { AggregatorRegistry, Counter, Registry } from 'prom-client';
import { Scrape } from '../support/surface/exposition.ts';
import { attachTo, type Observed } from '../support/surface/observed.ts';

function fill(runtime: Observed): void {
  runtime.set('a', {
    state: 'ready',
    pid: 1,
    startedAt: Date.now(),
    cpuMs: 1_500,
    rssBytes: 4_096,
  });
  runtime.spawn('a', 1);
  runtime.transition({ type: 'ready', key: 'a', pid: 1, port: 1, durationMs: 20 });
  runtime.observe('a', 1, 1_500, 4_096);
  runtime.totals.totalSpawns = 1;
}

const read = (text: string) => new Scrape(text).everything();

test('a registry shows what the collector shows', async () => {
  const register = new Registry();
  const options = { registers: [register], perTenant: { max: 5 } };
  const collector = createRuntimeCollector({ ...options, labels: { host: 'a"b\\' } });
  fill(attachTo(collector, {}, { pool: 'apps' }));
  fill(attachTo(collector, {}, { pool: 'jobs' }));
  const shown = read(await register.metrics());
  expect(shown).toEqual(read(collector.expose().body));
  expect(shown.described.length).toBeGreaterThan(20);
});

test('a registry that speaks OpenMetrics names counters as it must', async () => {
  const register = new Registry();
  register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
  fill(attachTo(createRuntimeCollector({ registers: [register] })));
  // Twice: it changes the names of its metrics while it writes.
  for (const text of [await register.metrics(), await register.metrics()]) {
    expect(text).toContain(
      '# TYPE absolute_runtime_cpu_seconds counter\nabsolute_runtime_cpu_seconds_total 1.5\n',
    );
    expect(text).toContain('absolute_runtime_ready_duration_seconds_count 1\n');
    expect(text).not.toContain('_total_total');
  }
});

test('metrics of the user stay beside ours, and default labels reach both', async () => {
  const register = new Registry();
  register.setDefaultLabels({ region: 'eu' });
  new Counter({ name: 'requests_total', help: 'Requests.', registers: [register] }).inc(3);
  fill(attachTo(createRuntimeCollector({ registers: [register] })));
  const text = await register.metrics();
  expect(text).toContain('requests_total{region="eu"} 3');
  expect(new Scrape(text).value('spawns_total', { region: 'eu' })).toBe(1);
});

test('one scrape reads the runtime once, and the next one reads it again', async () => {
  const register = new Registry();
  const runtime = attachTo(createRuntimeCollector({ registers: [register] }));
  await register.metrics();
  expect(runtime.looks).toBe(1);
  runtime.totals.totalSpawns = 9;
  const text = new Scrape(await register.metrics());
  expect(runtime.looks).toBe(2);
  expect(text.value('spawns_total')).toBe(9);
});

test('several registries each have all of it', async () => {
  const registers = [new Registry(), new Registry()];
  fill(attachTo(createRuntimeCollector({ registers })));
  const [first, second] = await Promise.all(registers.map((register) => register.metrics()));
  expect(first).toBe(second!);
});

test('a name that is taken is refused, and another prefix is not', async () => {
  const register = new Registry();
  createRuntimeCollector({ registers: [register] });
  const again = () => createRuntimeCollector({ registers: [register] });
  expect(again).toThrow(/"absolute_runtime_tenants" already; attach all runtimes to one collector/);
  fill(attachTo(createRuntimeCollector({ registers: [register], prefix: 'other_' })));
  expect(await register.metrics()).toContain('other_spawns_total 1\n');
});

test('processes of a cluster add up', async () => {
  const workers = await Promise.all(
    [1, 2].map(async (uptime) => {
      const register = new Registry();
      const runtime = attachTo(createRuntimeCollector({ registers: [register] }));
      fill(runtime);
      runtime.totals.uptimeMs = uptime * 1000;
      return register.getMetricsAsJSON();
    }),
  );
  const text = new Scrape(await AggregatorRegistry.aggregate(workers).metrics());
  expect(text.value('cpu_seconds_total')).toBe(3);
  expect(text.value('uptime_seconds')).toBe(2);
  expect(text.histogram('ready_duration_seconds').count).toBe(2);
});

test('a reset of the registry leaves the numbers of the runtime alone', async () => {
  const register = new Registry();
  fill(attachTo(createRuntimeCollector({ registers: [register] })));
  register.resetMetrics();
  expect(new Scrape(await register.metrics()).value('spawns_total')).toBe(1);
});
