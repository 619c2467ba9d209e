// A tenant that sleeps is a state of its own to operators, with how deep it sleeps.
import { expect, test } from 'bun:test';
import type { TenantStatus } from '@absolutejs/runtime';
import { Replacements } from '../../lib/control/replacements.js';
import { Row, worstFirst } from '../../lib/control/tenant.js';
import { eventText } from '../../lib/control/words.js';

const asleep = {
  ...{ key: 'a', state: 'asleep', depth: 'paged-out', pid: 7, port: 4_000 },
  ...{ startedAt: 1, lastTouchedAt: 2, attempt: 0, retryAt: null, lastError: null },
  ...{ starts: 1, crashes: 0, lastExit: null, cpuMs: 10, rssBytes: 6 * 2 ** 20, limits: {} },
  isolation: null,
} satisfies TenantStatus;

/** As it is told once it has this status. */
function told(status: TenantStatus) {
  const row = new Row(status.key, (option) => option);
  row.status = status;
  const hasChanged = row.refresh(null, undefined, 3);
  return { hasChanged, view: row.view, row };
}

test('its state, its depth and what memory it has left', () => {
  const { view } = told(asleep);
  expect(view).toMatchObject({ state: 'asleep', depth: 'paged-out', pid: 7, rssBytes: 6291456 });
  expect(view.problem).toBeNull();
  const { depth: _, ...ready } = asleep;
  expect(told({ ...ready, state: 'ready' }).view).toMatchObject({ state: 'running', depth: null });
});

test('to sleep deeper is news', () => {
  const { row } = told({ ...asleep, depth: 'frozen' });
  expect(row.refresh(null, undefined, 3)).toBe(false);
  row.status = asleep;
  expect(row.refresh(null, undefined, 3)).toBe(true);
});

test('it stands after those that run, and before those that do not', () => {
  const { depth: _, ...ready } = asleep;
  const views = [
    { ...ready, state: 'stopped' as const, pid: null },
    asleep,
    { ...ready, state: 'ready' as const },
  ].map((status) => told(status).view);
  const order = views.sort(worstFirst).map(({ state, rank }) => `${state} ${rank}`);
  expect(order).toEqual(['running 6', 'asleep 7', 'stopped 8']);
});

test('what is started beside a sleeper is to replace it', () => {
  const replacements = new Replacements(() => asleep);
  expect(replacements.take({ type: 'spawn', key: 'a', pid: 8, port: 4_001 })).toBe(true);
});

test('its events in words', () => {
  const about = { key: 'a', pid: 7 };
  const texts = [
    { type: 'sleep', depth: 'frozen', rssBytes: 17 * 2 ** 20 },
    { type: 'sleep', depth: 'paged-out', rssBytes: 6 * 2 ** 20 },
    { type: 'wake', depth: 'paged-out', durationMs: 12.345 },
    { type: 'wake', depth: 'frozen', durationMs: 0.3, byItself: true },
  ].map((event) => eventText({ ...about, ...event } as any));
  expect(texts).toEqual([
    'sleeps: it is frozen until it is used again',
    'sleeps, with its memory in swap: 6 MiB are left',
    'woke up in 12 ms',
    'runs again by itself, and cannot be kept asleep',
  ]);
});
