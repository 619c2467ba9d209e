// `replace` with real processes: no request is lost, and the old one ends when nothing uses it.
import { rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'bun:test';
import {
  createPool,
  isRunning,
  openTcp,
  openWebSocket,
  patientServer,
  type Pool,
  processOf,
  textOf,
  until,
} from '../support/processes/index.ts';

/** Answers with the content of its file `release` when it was started. */
const SERVER = `
const release = await Bun.file('release').text();
if (release === 'broken') throw new Error('DATABASE_URL is missing');
Bun.serve({
  port: Number(process.env.PORT),
  fetch: async (request) => {
    if (new URL(request.url).pathname === '/slow') await Bun.sleep(400);
    return new Response(release, { headers: { connection: 'close' } });
  },
});
process.on('SIGTERM', () => process.exit(0));
`;

function replacing(): Pool {
  const pool = createPool();
  pool.events.replaces = true;
  return pool;
}

function deployable() {
  const pool = replacing();
  pool.tenants.add('a', { start: 'bun server.ts', 'server.ts': SERVER, release: '1' });
  return { pool, release: (name: string) => pool.tenants.write('a/release', name) };
}

const isThere = (pid: number) => {
  const process = processOf(pid);
  return process !== undefined && isRunning(process);
};

/** In one step: there is no moment without a link. */
async function point({ tenants }: Pool, link: string, target: string): Promise<void> {
  await symlink(target, join(tenants.root, `${link}.next`));
  await rename(join(tenants.root, `${link}.next`), join(tenants.root, link));
}

test('callers that ask for each request get an answer to all of them', async () => {
  const { pool, release } = deployable();
  await using _ = pool;
  const visitors: string[][] = [[], [], []];
  const seenBy = (name: string) => visitors.every((seen) => seen.at(-1) === name);
  let isOver = false;
  await pool.runtime.ensure('a');
  const visits = visitors.map(async (seen) => {
    while (!isOver) seen.push(await textOf(await pool.runtime.ensure('a')));
  });
  for (const name of ['2', '3', '4']) {
    release(name);
    const { pid } = await pool.runtime.replace('a');
    expect(pool.runtime.inspect('a')!.pid).toBe(pid);
    await until(`answers of ${name}`, () => seenBy(name));
  }
  isOver = true;
  await Promise.all(visits);
  for (const seen of visitors) {
    expect(new Set(seen)).toEqual(new Set(['1', '2', '3', '4']));
    // Never an earlier release after a later one.
    expect(seen).toEqual(seen.toSorted());
  }
  await pool.dispose();
  const reasons = pool.events.of('exit', 'a').map(({ reason }) => reason);
  expect(reasons.slice(0, 2)).toEqual(['replaced', 'replaced']);
});

test('the old one answers what it has begun, and ends then', async () => {
  const { pool, release } = deployable();
  await using _ = pool;
  const old = await pool.runtime.ensure('a');
  const slow = textOf(old, '/slow');
  release('2');
  const tenant = await pool.runtime.replace('a');
  expect(await textOf(tenant)).toBe('2');
  expect(await slow).toBe('1');
  await pool.events.exit('a');
  expect(pool.events.of('exit', 'a')[0]).toMatchObject({ pid: old.pid, reason: 'replaced' });
  expect(isThere(old.pid)).toBeFalse();
  expect(await textOf(tenant)).toBe('2');
  await pool.dispose();
});

test('an open WebSocket keeps it until it is closed', async () => {
  await using pool = replacing();
  pool.tenants.add('a', patientServer);
  const old = await pool.runtime.ensure('a');
  const socket = await openWebSocket(old.port);
  const tenant = await pool.runtime.replace('a');
  // Longer than callers are given to connect, and than many looks.
  await Bun.sleep(1_000);
  expect(pool.events.of('exit', 'a')).toEqual([]);
  expect(isThere(old.pid)).toBeTrue();
  socket.close();
  await pool.events.exit('a');
  expect(await textOf(tenant)).toBe('hello');
  await pool.dispose();
});

test('no longer than drainMs', async () => {
  await using pool = replacing();
  pool.tenants.add('a', patientServer);
  const old = await pool.runtime.ensure('a');
  const download = await openTcp(old.port, '/download');
  await pool.runtime.replace('a', { drainMs: 300 });
  expect(pool.events.of('exit', 'a')).toEqual([]);
  await pool.events.exit('a');
  expect(isThere(old.pid)).toBeFalse();
  download.close();
  await pool.dispose();
});

test('a release that does not start changes nothing for visitors', async () => {
  const { pool, release } = deployable();
  await using _ = pool;
  const old = await pool.runtime.ensure('a');
  release('broken');
  const error = await pool.runtime.replace('a').catch((error) => error);
  expect(error.code).toBe('ERR_RUNTIME_EXITED_EARLY');
  expect(error.message).toContain('DATABASE_URL is missing');
  expect(await pool.runtime.ensure('a')).toBe(old);
  expect(await textOf(old)).toBe('1');
  release('2');
  expect(await textOf(await pool.runtime.replace('a'))).toBe('2');
  await pool.dispose();
});

test('a link moved to another release is followed by the new process alone', async () => {
  await using pool = replacing();
  for (const name of ['1', '2'])
    pool.tenants.add(`releases/${name}`, {
      start: 'bun server.ts',
      'server.ts': SERVER,
      release: name,
    });
  await point(pool, 'live', 'releases/1');
  const old = await pool.runtime.ensure('live');
  await point(pool, 'live', 'releases/2');
  const tenant = await pool.runtime.replace('live');
  expect(await textOf(tenant)).toBe('2');
  expect(tenant.port).not.toBe(old.port);
  await pool.dispose();
});

test('both are ended by kill, and nothing is left', async () => {
  await using pool = replacing();
  pool.tenants.add('a', patientServer);
  const old = await pool.runtime.ensure('a');
  const socket = await openWebSocket(old.port);
  const tenant = await pool.runtime.replace('a');
  await pool.runtime.kill('a');
  expect([isThere(old.pid), isThere(tenant.pid)]).toEqual([false, false]);
  expect(pool.events.of('exit', 'a').map(({ reason }) => reason)).toEqual(['killed', 'killed']);
  socket.close();
  await pool.dispose();
});
