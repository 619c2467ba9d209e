import { expect, test } from 'bun:test';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { Scrape, scrape } from '../support/surface/exposition.ts';
import { attachTo } from '../support/surface/observed.ts';

const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8';
/** Needs every escape. */
const hostileKey = 'org/"a\\b"\nc{}=,#';

function filled() {
  const collector = createRuntimeCollector({ perTenant: { max: 5 }, labels: { host: 'h\\1 "x"' } });
  for (const pool of ['a', 'b']) {
    const runtime = attachTo(collector, {}, { pool });
    runtime.set(hostileKey, { pid: 1, cpuMs: 1, rssBytes: 2 });
    runtime.transition({ type: 'ready', key: hostileKey, pid: 1, port: 1, durationMs: 20 });
  }
  return collector;
}

test('a parser of Prometheus reads back what was written, escapes included', () => {
  const text = scrape(filled());
  const labels = { host: 'h\\1 "x"', pool: 'a' };
  expect(text.value('tenant_ready', { ...labels, key: hostileKey })).toBe(1);
  expect(text.value('tenant_resident_memory_bytes', { ...labels, key: hostileKey })).toBe(2);
  expect(text.histogram('ready_duration_seconds', labels)).toMatchObject({ count: 1, sum: 0.02 });
});

test('every metric is described once, and named after its kind and unit', () => {
  const { families } = scrape(filled());
  expect(families.length).toBeGreaterThan(20);
  for (const { name, type, help } of families) {
    expect(help).toMatch(/^[A-Z].*[^ ]$/);
    expect(name.endsWith('_total')).toBe(type === 'COUNTER');
    if (type === 'HISTOGRAM') expect(name).toEndWith('_duration_seconds');
    expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|count|bucket|sum)(_|$)/);
  }
  const names = families.map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
});

test('each line is one that the text format allows', () => {
  const lines = filled().expose().body.split('\n');
  expect(lines.pop()).toBe('');
  const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
  const sample = new RegExp(
    `^[a-z_]+(?:\\{${label}(?:,${label})*\\})? (?:[-+]?[0-9.e+-]+|\\+Inf|NaN)$`,
  );
  const comment = /^# (?:HELP [a-z_]+ .+|TYPE [a-z_]+ (?:counter|gauge|histogram))$/;
  expect(lines.filter((line) => !sample.test(line) && !comment.test(line))).toEqual([]);
});

test('OpenMetrics has the same numbers, in its own syntax', () => {
  const collector = filled();
  const { body } = collector.expose('application/openmetrics-text');
  expect(body).toEndWith('\n# EOF\n');
  const descriptions = body.split('\n').filter((line) => line.startsWith('# '));
  expect(descriptions.filter((line) => /^# (HELP|TYPE|UNIT) \S+_total /.test(line))).toEqual([]);
  for (const line of descriptions.filter((line) => line.startsWith('# UNIT '))) {
    const [, , name, unit] = line.split(' ');
    expect(name).toEndWith(`_${unit}`);
  }
  expect(body).toContain('# UNIT absolute_runtime_cpu_seconds seconds\n');
  const samples = (text: string) =>
    text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect(samples(body)).toEqual(samples(collector.expose().body));
});

test('the bounds of buckets are floats, so that their series are the same in both formats', () => {
  const bounds = [
    ...filled()
      .expose()
      .body.matchAll(/le="([^"]+)"/g),
  ].map(([, le]) => le);
  // Those of starts, and two that only wakes have.
  expect(new Set(bounds).size).toBe(16);
  expect(bounds.filter((le) => le !== '+Inf' && !le?.includes('.'))).toEqual([]);
});

test('OpenMetrics is sent to scrapers that accept it', () => {
  const collector = createRuntimeCollector();
  const answers: [string | null | undefined, string][] = [
    [undefined, PROMETHEUS],
    [null, PROMETHEUS],
    ['', PROMETHEUS],
    ['*/*', PROMETHEUS],
    ['text/html', PROMETHEUS],
    ['text/plain', PROMETHEUS],
    ['application/openmetrics-text', OPEN_METRICS],
    ['Application/OpenMetrics-Text; Version=1.0.0', OPEN_METRICS],
    ['application/openmetrics-text;version=0.0.1', PROMETHEUS],
    ['application/openmetrics-text;q=0', PROMETHEUS],
    ['application/openmetrics-text;q=0.2,text/plain;q=0.9', PROMETHEUS],
    // As Prometheus 2 asks.
    [
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,' +
        'text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      OPEN_METRICS,
    ],
    // As Prometheus 3 asks.
    [
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,' +
        'application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,' +
        'text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
      OPEN_METRICS,
    ],
  ];
  for (const [accept, contentType] of answers) {
    expect([accept, collector.expose(accept).contentType]).toEqual([accept, contentType]);
  }
});

test('fetch answers a scrape over HTTP', async () => {
  const collector = filled();
  await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: collector.fetch });
  const plain = await fetch(server.url);
  expect(plain.headers.get('content-type')).toBe(PROMETHEUS);
  expect(new Scrape(await plain.text()).names()).toContain('spawns_total');
  const open = await fetch(server.url, {
    headers: { accept: 'application/openmetrics-text;version=1.0.0' },
  });
  expect(open.headers.get('content-type')).toBe(OPEN_METRICS);
  expect(await open.text()).toEndWith('# EOF\n');
});

test('a collector without a runtime exposes no series', () => {
  const collector = createRuntimeCollector();
  expect(collector.expose().body).toBe('');
  expect(collector.expose('application/openmetrics-text').body).toBe('# EOF\n');
});
