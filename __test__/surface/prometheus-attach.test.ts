import { expect, test } from 'bun:test';
import type { RuntimeMetricEvent, RuntimeTransitionEvent } from '@absolutejs/runtime';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { scrape } from '../support/surface/exposition.ts';
import { attachTo, Observed } from '../support/surface/observed.ts';

const source = { kind: 'directory', root: 'tenants' } as const;
const invalid = (message: RegExp) =>
  expect.objectContaining({
    code: 'ERR_RUNTIME_INVALID_OPTION',
    message: expect.stringMatching(message),
  });

test('the options and the runtime pass through', () => {
  const collector = createRuntimeCollector();
  const onLog = () => {};
  const options = { source, maxConcurrent: 3, onLog };
  const runtime = new Observed();
  const attached = collector.attach((given) => Object.assign(runtime, { options: given }), options);
  expect(attached).toBe(runtime);
  expect(runtime.options).toMatchObject({ source, maxConcurrent: 3 });
  expect(runtime.options.onLog).toBe(onLog);
  expect(options).toEqual({ source, maxConcurrent: 3, onLog });
});

test("the user's callbacks get every event, and what they return goes to the runtime", () => {
  const collector = createRuntimeCollector();
  const seen: (RuntimeMetricEvent | RuntimeTransitionEvent)[] = [];
  const promise = Promise.resolve();
  const note = (event: RuntimeMetricEvent | RuntimeTransitionEvent) => {
    seen.push(event);
    return promise;
  };
  const { options } = attachTo(collector, { onMetrics: note, onTransition: note });
  const metric = { type: 'observation', key: 'a', pid: 1, cpuMs: 1, rssBytes: 2, at: 3 } as const;
  const transition = { type: 'drain', reason: 'drain-requested' } as const;
  expect(options.onMetrics?.(metric) as unknown).toBe(promise);
  expect(options.onTransition?.(transition) as unknown).toBe(promise);
  expect(seen).toEqual([metric, transition]);
});

test('a callback that throws takes nothing away from the collector', () => {
  const collector = createRuntimeCollector();
  const fail = () => {
    throw new Error('of the user');
  };
  const runtime = attachTo(collector, { onMetrics: fail });
  expect(() => runtime.observe('a', 1, 2_000, 0)).toThrow('of the user');
  expect(scrape(collector).value('cpu_seconds_total')).toBe(2);
});

test('a callback that is no function is left for the runtime to refuse', () => {
  const wrong = 'console.log' as unknown as () => void;
  const { options } = attachTo(createRuntimeCollector(), { onTransition: wrong });
  expect(options.onTransition).toBe(wrong);
});

test('several runtimes on one collector are told apart by their labels', () => {
  const collector = createRuntimeCollector({ labels: { region: 'eu' } });
  attachTo(collector, {}, { pool: 'apps' }).totals.totalSpawns = 1;
  attachTo(collector, {}, { pool: 'jobs' }).totals.totalSpawns = 2;
  const text = scrape(collector);
  expect(text.value('spawns_total', { region: 'eu', pool: 'apps' })).toBe(1);
  expect(text.value('spawns_total', { region: 'eu', pool: 'jobs' })).toBe(2);
  expect(text.names()).toEqual([...new Set(text.names())]);
});

test('two runtimes with the same labels are refused before the second one is created', () => {
  const collector = createRuntimeCollector();
  attachTo(collector, {}, { pool: 'a', zone: 'b' });
  let created = false;
  const create = () => ((created = true), new Observed());
  const attach = () => collector.attach(create, { source }, { zone: 'b', pool: 'a' });
  expect(attach).toThrow(invalid(/^labels \{"zone":"b","pool":"a"\} are those of a runtime/));
  expect(created).toBeFalse();
});

test('a runtime that is detached is shown no more, and its labels are free', () => {
  const collector = createRuntimeCollector();
  const first = attachTo(collector);
  first.totals.totalSpawns = 5;
  collector.detach(first);
  expect(scrape(collector).names()).toEqual([]);
  collector.detach(first);
  attachTo(collector);
  expect(scrape(collector).value('spawns_total')).toBe(0);
});

test('a runtime that cannot be created leaves nothing behind', () => {
  const collector = createRuntimeCollector();
  const fail = () => {
    throw new Error('no addon');
  };
  expect(() => collector.attach(fail, { source })).toThrow('no addon');
  const nothing = (() => undefined) as unknown as () => Observed;
  expect(() => collector.attach(nothing, { source })).toThrow(
    invalid(/^create must return a runtime/),
  );
  attachTo(collector);
});

test('bad options are refused by name', () => {
  const refuses = (options: unknown, message: RegExp) =>
    expect(() => createRuntimeCollector(options as never)).toThrow(invalid(message));
  refuses(null, /^options must be an object, got null$/);
  refuses({ prefix: '1up_' }, /^prefix must be the beginning of a metric name, got "1up_"$/);
  refuses({ labels: ['pool'] }, /^labels must be a record of strings/);
  refuses({ labels: { 'not-a-name': '' } }, /^labels has "not-a-name", which is no label name/);
  refuses({ labels: { __name__: '' } }, /^labels has "__name__", which is no label name/);
  refuses({ labels: { pool: 1 } }, /^labels\.pool must be a string, got 1$/);
  for (const name of ['key', 'state', 'reason', 'le']) {
    refuses(
      { labels: { [name]: '' } },
      new RegExp(`^labels\\.${name} is given out by the collector itself`),
    );
  }
  refuses({ perTenant: true }, /^perTenant must be an object, got true$/);
  refuses(
    { perTenant: {} },
    /^perTenant\.max must be a whole number of at least 1, got undefined$/,
  );
  refuses(
    { perTenant: { max: 0 } },
    /^perTenant\.max must be a whole number of at least 1, got 0$/,
  );
  refuses({ registers: [{}] }, /^registers must be an array of prom-client registries/);
  expect(() => attachTo(createRuntimeCollector(), {}, { le: '' })).toThrow(
    invalid(/^labels\.le is given out/),
  );
});

test('names begin with the prefix', () => {
  const collector = createRuntimeCollector({ prefix: 'paas_' });
  attachTo(collector);
  const lines = collector.expose().body.trimEnd().split('\n');
  expect(lines.filter((line) => !/^(# (HELP|TYPE) )?paas_[a-z]/.test(line))).toEqual([]);
});
