// A thousand calls of `ensure` in one tick: all tenants start and answer, and all are gone after
// dispose.
import { expect, test } from 'bun:test';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createPool, wardenOf, within } from '../support/processes/index.ts';

const TENANTS = 1_000;
const PATIENCE_MS = 120_000;

test(
  'a thousand tenants start, answer and end',
  async () => {
    await using pool = createPool({
      command: ['sleep', '1000'],
      readiness: async () => true,
      maxConcurrent: TENANTS,
      idleAfterMs: 0,
    });
    const keys = Array.from({ length: TENANTS }, (_, index) => `t${index}`);
    for (const key of keys) mkdirSync(join(pool.tenants.root, key));
    const starting = Promise.all(keys.map((key) => pool.runtime.ensure(key)));
    const tenants = await within('all are ready', starting, PATIENCE_MS);
    expect(new Set(tenants.map(({ pid }) => pid)).size).toBe(TENANTS);
    expect(new Set(tenants.map(({ port }) => port)).size).toBe(TENANTS);
    expect(pool.runtime.stats()).toEqual({
      running: TENANTS,
      total: TENANTS,
      draining: false,
      backoff: 0,
    });
    expect(pool.tenants.processes().length).toBe(TENANTS);
    await within('all are gone', pool.runtime.dispose(), PATIENCE_MS);
    // Also checks that no process is left, and the order of all events.
    await pool.dispose();
    expect(pool.events.of('exit').length).toBe(TENANTS);
    expect(wardenOf(process.pid)).toBeUndefined();
  },
  2 * PATIENCE_MS,
);
