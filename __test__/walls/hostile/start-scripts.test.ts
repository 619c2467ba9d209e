// A tenant's start script is looked up within its walls: a link to a file of others leads nowhere.
import { expect, test } from 'bun:test';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { WALLS } from '../../support/walls/kernel.ts';
import { createPool } from '../../support/processes/index.ts';

/** A tenant whose package.json is a file of somebody else's. */
function poolWithLink(content: string, isolation: 'none' | typeof WALLS) {
  const pool = createPool({ isolation, readiness: async () => true });
  pool.tenants.write('of-the-host/file.json', content);
  mkdirSync(join(pool.tenants.root, 'app'));
  symlinkSync('../of-the-host/file.json', join(pool.tenants.root, 'app', 'package.json'));
  return pool;
}

const SECRET = 'secret-of-the-host';
const outcomeOf = (pool: ReturnType<typeof createPool>) =>
  pool.runtime.ensure('app').then(
    () => 'started',
    (error: Error) => error.message,
  );

test("a file of the host's is not run as a start script", async () => {
  const script = JSON.stringify({ scripts: { start: `echo ${SECRET}; exec sleep 1000` } });
  await using free = poolWithLink(script, 'none');
  await outcomeOf(free);
  await free.events.line('app', SECRET);
  await free.dispose();

  await using walled = poolWithLink(script, WALLS);
  expect(await outcomeOf(walled)).toContain('package.json cannot be read');
  expect(walled.events.lines('app').join('\n')).not.toContain(SECRET);
  await walled.dispose();
});

test("nothing of a file of the host's is told when it is no package.json", async () => {
  for (const content of [SECRET, `{"${SECRET}": `, `{"scripts": {"${SECRET}": 1}}`]) {
    await using pool = poolWithLink(content, WALLS);
    expect(await outcomeOf(pool)).not.toContain(SECRET);
    expect(pool.events.lines('app').join('\n')).not.toContain(SECRET);
    await pool.dispose();
  }
});
