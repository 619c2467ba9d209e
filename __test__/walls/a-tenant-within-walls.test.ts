// A real app within walls: what it has, what it has not, and what `inspect` says of it. How strong
// the walls are is shown elsewhere.
import { expect, test } from 'bun:test';
import { chmodSync, chownSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createRuntime } from '@absolutejs/runtime';
import {
  canKeep,
  createPool,
  engineNames,
  type Pool,
  startHost,
  Tenants,
} from '../support/processes/index.ts';

/** Tells what it is and what it reaches. */
const SERVER = `
import { readFileSync, writeFileSync } from 'node:fs';
const outcome = (act) => {
  try {
    act();
    return 'yes';
  } catch (error) {
    return error.code;
  }
};
const { HOME, TMPDIR, PORT } = process.env;
writeFileSync('made', '');
Bun.serve({
  port: Number(PORT),
  fetch: () => Response.json({
    variables: Object.keys(process.env),
    HOME, TMPDIR, cwd: process.cwd(),
    user: [process.getuid(), process.getgid(), process.umask()],
    reads: outcome(() => readFileSync('package.json')),
    writes: outcome(() => writeFileSync(TMPDIR + '/file', '')),
    readsNeighbour: outcome(() => readFileSync('../neighbour/package.json')),
    readsShared: outcome(() => readFileSync('../shared/file')),
    writesShared: outcome(() => writeFileSync('../shared/file', 'x')),
    listens: outcome(() => Bun.serve({ port: Number(PORT) + 1, fetch: () => new Response() }).stop()),
  }),
});
`;

const isRoot = process.getuid!() === 0;
const canWall = await canKeep({ isolation: 'tenant' });
const noWalls = { readsNeighbour: 'yes', readsShared: 'yes', writesShared: 'yes', listens: 'yes' };

function addApps(tenants: Tenants): void {
  tenants.add('app', { 'server.ts': SERVER }).add('neighbour').write('shared/file', '');
}

async function toldBy(pool: Pool, key: string): Promise<any> {
  const { port } = await pool.runtime.ensure(key);
  return (await fetch(`http://127.0.0.1:${port}/`)).json();
}

test.skipIf(!canWall)(
  '"tenant": its directory, a private TMPDIR, its port, and no more',
  async () => {
    await using pool = createPool({ isolation: 'tenant' });
    addApps(pool.tenants);
    const directory = join(pool.tenants.root, 'app');
    const told = await toldBy(pool, 'app');
    expect(told).toMatchObject({
      ...{ HOME: directory, cwd: directory, reads: 'yes', writes: 'yes' },
      ...{ readsNeighbour: 'EACCES', readsShared: 'EACCES', writesShared: 'EACCES' },
      listens: 'EACCES',
    });
    expect(told.user[2]).toBe(0o027);
    expect(told.TMPDIR).not.toBe(process.env.TMPDIR);
    expect(told.variables).not.toContain('BUN_INSTALL');
    expect(existsSync(join(told.TMPDIR, 'file'))).toBeTrue();
    const { limits, isolation } = pool.runtime.inspect('app')!;
    expect([limits, isolation]).toEqual([
      {},
      { landlock: expect.any(Number), seccomp: true, user: null, missing: [] },
    ]);
    await pool.runtime.kill('app');
    expect(existsSync(told.TMPDIR)).toBeFalse();
    expect(pool.runtime.inspect('app')!.isolation).toBeNull();
    await pool.dispose();
  },
);

test.skipIf(!canWall)('read, write and listen open the walls that far', async () => {
  await using pool = createPool({
    isolation: (key) => (key === 'app' ? { read: ['../neighbour'], write: ['../shared'] } : 'none'),
  });
  addApps(pool.tenants);
  expect(await toldBy(pool, 'app')).toMatchObject({ ...noWalls, listens: 'EACCES' });
  await pool.dispose();
});

test.skipIf(!canWall)('what env says stays as it is, but for TMPDIR', async () => {
  const env = { PATH: process.env.PATH, HOME: '/srv/nobody', TMPDIR: '/tmp', BUN_INSTALL: '/opt' };
  await using pool = createPool({ isolation: 'tenant', env });
  addApps(pool.tenants);
  const told = await toldBy(pool, 'app');
  expect(told.HOME).toBe('/srv/nobody');
  expect(told.TMPDIR).not.toBe('/tmp');
  expect(told.variables).toContain('BUN_INSTALL');
  await pool.dispose();
});

test('"none", and nothing: no walls', async () => {
  for (const isolation of [undefined, 'none'] as const) {
    await using pool = createPool({ isolation });
    addApps(pool.tenants);
    const told = await toldBy(pool, 'app');
    expect(told).toMatchObject(noWalls);
    expect(told.HOME).toBe(process.env.HOME);
    expect(pool.runtime.inspect('app')!.isolation).toBeNull();
    await pool.dispose();
  }
});

test.skipIf(!canWall)('a path that is not there fails the start, and is named', async () => {
  await using pool = createPool({ isolation: { read: ['/no/such/directory'] } });
  addApps(pool.tenants);
  const error = await pool.runtime.ensure('app').catch((error) => error);
  expect(error.code).toBe('ERR_RUNTIME_SPAWN');
  expect(error.message).toContain('"/no/such/directory"');
  await pool.dispose();
});

test.skipIf(!canWall || !isRoot)('a user of its own for each key, from the range', async () => {
  await using pool = createPool({
    isolation: { user: { first: 51_000, count: 2 } },
    backoff: { baseMs: 0 },
  });
  const { tenants, runtime } = pool;
  chmodSync(tenants.root, 0o755);
  for (const key of ['a', 'b', 'c']) tenants.add(key);
  await Promise.all([runtime.ensure('a'), runtime.ensure('b')]);
  const userOf = (key: string) => runtime.inspect(key)!.isolation!.user!;
  const users = [userOf('a'), userOf('b')];
  expect(users.toSorted()).toEqual([51_000, 51_001]);
  const full = await runtime.ensure('c').catch((error) => error);
  expect(full.code).toBe('ERR_RUNTIME_SPAWN');
  expect(full.message).toContain('all users from 51000 to 51001');
  // It keeps its number; another's directory is not its own.
  await runtime.restart('a');
  expect(userOf('a')).toBe(users[0]!);
  chownSync(join(tenants.root, 'a'), 60_000, 60_000);
  const refused = await runtime.restart('a').catch((error) => error);
  expect(refused.code).toBe('ERR_RUNTIME_SPAWN');
  expect(refused.message).toContain('60000');
  expect(refused.message).toContain(`${users[0]}`);
  await pool.dispose();
});

for (const engine of engineNames) {
  test.skipIf(!canWall)(`${engine}: what is in force is told`, async () => {
    await using tenants = new Tenants().add('app');
    const options = { isolation: 'tenant', limits: { openFiles: 1_000 } };
    await using host = startHost(engine, 'confines.mjs', [tenants.root, JSON.stringify(options)]);
    const { limits, isolation } = await host.saidJson<any>('started');
    expect(limits).toEqual({ openFiles: { value: 1_000, by: 'rlimit' } });
    expect(isolation).toMatchObject({ seccomp: true, user: null, missing: [] });
    await host.exited;
  });
}

test.skipIf(isRoot)('a user of its own takes root', () => {
  const source = { kind: 'directory', root: '/srv' } as const;
  const isolation = { user: { uid: 51_000, gid: 51_000 } };
  expect(() => createRuntime({ source, isolation })).toThrow(/isolation\.user \(51000\) cannot be/);
});
