// The second process of a `replace` has limits, a temporary directory and control groups of its
// own, and the user of the first.
import { existsSync } from 'node:fs';
import { expect, test } from 'bun:test';
import type { Tenant } from '@absolutejs/runtime';
import { canKeep, createPool } from '../support/processes/index.ts';

const SERVER = `
import { readFileSync, writeFileSync } from 'node:fs';
writeFileSync(process.env.TMPDIR + '/mine', '');
Bun.serve({
  port: Number(process.env.PORT),
  fetch: () => Response.json({
    temporary: process.env.TMPDIR,
    user: process.getuid(),
    groups: readFileSync('/proc/self/cgroup', 'utf8'),
  }, { headers: { connection: 'close' } }),
});
`;

const asked = { limits: { processes: 500 }, isolation: 'tenant' } as const;

const factsOf = async ({ port }: Tenant) =>
  (await fetch(`http://127.0.0.1:${port}/`)).json() as Promise<{
    temporary: string;
    user: number;
    groups: string;
  }>;

test.skipIf(!(await canKeep(asked)))(
  'each has its own, and the first is cleared away',
  async () => {
    await using pool = createPool(asked);
    pool.events.replaces = true;
    pool.tenants.add('a', { 'server.ts': SERVER });
    const first = await factsOf(await pool.runtime.ensure('a'));
    const second = await factsOf(await pool.runtime.replace('a'));
    expect(second.user).toBe(first.user);
    expect(second.temporary).not.toBe(first.temporary);
    expect(second.groups).not.toBe(first.groups);
    expect(pool.runtime.inspect('a')).toMatchObject({ limits: { processes: { value: 500 } } });
    await pool.events.exit('a');
    expect(existsSync(first.temporary)).toBeFalse();
    expect(existsSync(second.temporary)).toBeTrue();
    await pool.dispose();
    expect(existsSync(second.temporary)).toBeFalse();
  },
);
