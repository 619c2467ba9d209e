// A tenant's environment: PORT, NODE_ENV, what the `env` option says, and none of the host's
// secrets.
import { afterEach, beforeEach, expect, test } from 'bun:test';
import {
  binDirectory,
  createPool,
  engineNames,
  type Pool,
  startHost,
  Tenants,
} from '../support/processes/index.ts';

const SERVES_ENVIRONMENT = `
Bun.serve({ port: Number(process.env.PORT), fetch: () => Response.json(process.env) });`;

/** The environment of the server, which `bun run start` has added to. */
async function environmentOf(pool: Pool, key = 'app') {
  pool.tenants.add(key, { 'server.ts': SERVES_ENVIRONMENT });
  const { port } = await pool.runtime.ensure(key);
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  return { env: (await answer.json()) as Record<string, string | undefined>, port: String(port) };
}

/** The variables that the first process was started with, from the kernel. */
async function givenTo(pool: Pool, key = 'app') {
  pool.tenants.add(key);
  const { pid, port } = await pool.runtime.ensure(key);
  const text = await Bun.file(`/proc/${pid}/environ`).text();
  return { names: text.split('\0').flatMap((entry) => entry.split('=')[0] || []), port };
}

const SECRETS = {
  AWS_SECRET_ACCESS_KEY: 'secret-1',
  DATABASE_URL: 'postgres://secret-2@db/app',
  GITHUB_TOKEN: 'secret-3',
  npm_config_token: 'secret-4',
  NODE_OPTIONS: '--max-old-space-size=100',
  BUN_CONFIG_TOKEN: 'secret-5',
  LD_LIBRARY_PATH: '/secret-6',
  HTTPS_PROXY: 'http://secret-7@proxy:1',
  SSH_AUTH_SOCK: '/secret-8',
  path: 'secret-9',
  LC: 'secret-10',
  HOMEPAGE: 'secret-11',
};
const HARMLESS = { LC_TIME: 'de_DE.UTF-8', TZ: 'Europe/Vienna', LANG: 'de_DE.UTF-8' };
const WRONG = { PORT: '1', NODE_ENV: 'host' };

const before = { ...process.env };
beforeEach(() => {
  Object.assign(process.env, SECRETS, HARMLESS, WRONG);
});
afterEach(() => {
  for (const name of Object.keys({ ...SECRETS, ...HARMLESS, ...WRONG })) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

test('by default: a short list of harmless variables, PORT and NODE_ENV', async () => {
  await using pool = createPool();
  const { env, port } = await environmentOf(pool);
  expect(env).toMatchObject({ ...HARMLESS, PORT: port, NODE_ENV: 'production' });
  expect(JSON.stringify(env)).not.toContain('secret-');
  const { names } = await givenTo(pool, 'raw');
  const allowed =
    /^(PORT|NODE_ENV|PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|USER|LOGNAME|SHELL|XDG_CACHE_HOME|BUN_(INSTALL|TMPDIR|RUNTIME_TRANSPILER_CACHE_PATH))$/;
  expect(names.filter((name) => !allowed.test(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
  await pool.dispose();
});

test('by default: as the host has them at each start', async () => {
  await using pool = createPool();
  const { env } = await environmentOf(pool, 'first');
  expect(env).toMatchObject(HARMLESS);
  process.env.TZ = 'Europe/Rome';
  expect((await environmentOf(pool, 'changed')).env).toMatchObject({
    ...HARMLESS,
    TZ: 'Europe/Rome',
  });
  // As many variables as before.
  delete process.env[Object.keys(SECRETS)[0] ?? ''];
  process.env.LC_MONETARY = 'fr_FR.UTF-8';
  expect((await environmentOf(pool, 'added')).env).toMatchObject({ LC_MONETARY: 'fr_FR.UTF-8' });
  delete process.env.LC_MONETARY;
  expect((await environmentOf(pool, 'taken-away')).env).not.toHaveProperty('LC_MONETARY');
  await pool.dispose();
});

test('"inherit": all of it, with PORT and NODE_ENV of its own, as it is at each start', async () => {
  await using pool = createPool({ env: 'inherit' });
  const { env, port } = await environmentOf(pool);
  expect(env).toMatchObject({
    DATABASE_URL: SECRETS.DATABASE_URL,
    PORT: port,
    NODE_ENV: 'production',
  });
  process.env.DATABASE_URL = 'changed';
  await pool.runtime.restart('app');
  expect((await environmentOf(pool)).env.DATABASE_URL).toBe('changed');
  await pool.dispose();
});

test('a record: that and nothing else of the host', async () => {
  const env = {
    PATH: process.env.PATH ?? '',
    GREETING: 'grüß=dich\nund alle',
    EMPTY: '',
    PORT: '2',
    NODE_ENV: 'x',
  };
  await using pool = createPool({ env });
  const { env: found, port } = await environmentOf(pool);
  // Bun, in a host without it on PATH, and `bun run` add to PATH.
  expect(found).toMatchObject({ ...env, PATH: found.PATH, PORT: port, NODE_ENV: 'production' });
  expect(found.PATH).toContain(env.PATH);
  const { names } = await givenTo(pool, 'raw');
  expect(names.filter((name) => !(name in env) && name !== 'und alle')).toEqual([]);
  await pool.dispose();
});

test('a function: asked for each start of each key', async () => {
  const asked: string[] = [];
  await using pool = createPool({
    env(key) {
      asked.push(key);
      return { PATH: process.env.PATH ?? '', TENANT: key, START: String(asked.length) };
    },
  });
  const one = await environmentOf(pool, 'one');
  const two = await environmentOf(pool, 'org/two');
  expect([one.env.TENANT, two.env.TENANT]).toEqual(['one', 'org/two']);
  await pool.runtime.restart('one');
  expect((await environmentOf(pool, 'one')).env.START).toBe('3');
  expect(asked).toEqual(['one', 'org/two', 'one']);
  await pool.dispose();
});

test('a function that throws: the same error, and nothing is started', async () => {
  const error = new Error('no secrets for you');
  await using pool = createPool({
    env() {
      throw error;
    },
  });
  pool.tenants.add('app');
  const both = await Promise.allSettled([pool.runtime.ensure('app'), pool.runtime.ensure('app')]);
  expect(both.map((result) => result.status === 'rejected' && result.reason)).toEqual([
    error,
    error,
  ]);
  expect(both.every((result) => result.status === 'rejected' && result.reason === error)).toBe(
    true,
  );
  expect(pool.events.told).toEqual([]);
  expect(pool.runtime.stats().total).toBe(0);
  await pool.dispose();
});

test('an environment larger than a pipe or an argument', async () => {
  const large = Object.fromEntries(
    Array.from({ length: 12 }, (_, index) => [
      `LARGE_${index}`,
      String(index).padEnd(100_000, 'x'),
    ]),
  );
  await using pool = createPool({ env: { PATH: process.env.PATH ?? '', ...large } });
  const { env } = await environmentOf(pool);
  expect(env).toMatchObject(large);
  await pool.dispose();
});

for (const engine of engineNames) {
  // Only Bun itself can stand in for one that is not there.
  const path = engine === 'Bun' ? '/usr/bin:/bin' : `${binDirectory}:/usr/bin:/bin`;
  test(`${engine}: a host with PATH=${engine === 'Bun' ? 'none with bun' : 'one with bun'}`, async () => {
    await using tenants = new Tenants().add('app', { start: "sh -c 'bun server.ts & wait'" });
    const env = { PATH: path, PORT: '80', NODE_ENV: 'test', SECRET: 'secret-12' };
    await using host = startHost(engine, 'alive.mjs', [tenants.root, 'app', 'disposed'], { env });
    expect({ ...(await host.end()), errors: host.errors }).toEqual({
      code: 0,
      signal: null,
      errors: '',
    });
    expect(host.lines.map((line) => line.split(' ')[0])).toEqual(['ready', 'disposed']);
  });
}
