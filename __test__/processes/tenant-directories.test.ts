// Keys are directories below the root, looked up at each start.
import { expect, test } from 'bun:test';
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createPool, textOf } from '../support/processes/index.ts';

const answers = (text: string) => ({
  'server.ts': `Bun.serve({ port: Number(process.env.PORT), fetch: () => new Response('${text}') });`,
});

test('a directory that is not there: an error that names it, and nothing is started', async () => {
  await using pool = createPool({ backoff: { baseMs: 0 } });
  for (const key of ['absent', 'org/absent']) {
    const error = await pool.runtime.ensure(key).catch((error) => error);
    expect(error.code).toBe('ERR_RUNTIME_SPAWN');
    expect(error.message).toContain(join(pool.tenants.root, key));
    expect(error.message).toContain(`"${key}"`);
  }
  pool.tenants.write('file', 'not a directory');
  const error = await pool.runtime.ensure('file').catch((error) => error);
  expect(error.code).toBe('ERR_RUNTIME_SPAWN');
  expect(error.message).toContain(join(pool.tenants.root, 'file'));
  expect(pool.events.of('spawn')).toEqual([]);
  // Once it is there it is started.
  pool.tenants.add('absent');
  expect((await pool.runtime.ensure('absent')).key).toBe('absent');
  await pool.dispose();
});

test('a program that is not there: an error that names it', async () => {
  for (const command of [['no-such-program'], ['./no-such-program']]) {
    await using pool = createPool({ command });
    pool.tenants.add('app');
    const error = await pool.runtime.ensure('app').catch((error) => error);
    expect(error.code).toBe('ERR_RUNTIME_SPAWN');
    expect(error.message).toContain('no-such-program');
    await pool.dispose();
    expect(pool.events.of('spawn')).toEqual([]);
  }
});

test('a start script that is not there: refused before anything is started', async () => {
  await using pool = createPool();
  pool.tenants.write('bare/package.json', '{}');
  const error = await pool.runtime.ensure('bare').catch((error) => error);
  expect(error.code).toBe('ERR_RUNTIME_SPAWN');
  expect(error.message).toContain('has no script "start"');
  expect(pool.events.of('spawn')).toEqual([]);
  await pool.dispose();
});

test('a symlinked release directory is followed at each start', async () => {
  await using pool = createPool();
  const { tenants, runtime } = pool;
  tenants.add('releases/1', answers('one')).add('releases/2', answers('two'));
  const current = join(tenants.root, 'app');
  const pointTo = (release: string) => {
    symlinkSync(release, `${current}.next`);
    renameSync(`${current}.next`, current);
  };
  pointTo('releases/1');
  expect(await textOf(await runtime.ensure('app'))).toBe('one');
  pointTo('releases/2');
  // What runs goes on.
  expect(await textOf(await runtime.ensure('app'))).toBe('one');
  expect(await textOf(await runtime.restart('app'))).toBe('two');
  pointTo('releases/1');
  await runtime.kill('app');
  expect(await textOf(await runtime.ensure('app'))).toBe('one');
  // A release that is taken away under a running tenant does not keep it from being stopped.
  rmSync(join(tenants.root, 'releases'), { recursive: true });
  await runtime.kill('app');
  await pool.dispose();
});

test('keys of several segments, and with unusual characters', async () => {
  await using pool = createPool();
  const keys = [
    'org/app',
    'org/other',
    'a b',
    'grüße',
    "it's $HOME; `x`",
    '-rf',
    '..hidden',
    'a/b/c/d',
  ];
  keys.forEach((key) =>
    pool.tenants.add(key, answers(encodeURIComponent(key).replaceAll("'", '%27'))),
  );
  mkdirSync(join(pool.tenants.root, 'empty'));
  const tenants = await Promise.all(keys.map((key) => pool.runtime.ensure(key)));
  expect(tenants.map(({ key }) => key)).toEqual(keys);
  for (const tenant of tenants) expect(decodeURIComponent(await textOf(tenant))).toBe(tenant.key);
  await pool.dispose();
});
