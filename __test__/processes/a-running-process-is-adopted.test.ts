// A process that is adopted by its pid alone is treated like any tenant: its end is seen, and its
// group ends with it, and no other process.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import {
  createPool,
  descendantsOf,
  type Pool,
  processOf,
  SERVER,
  textOf,
  until,
  untilGone,
  within,
} from '../support/processes/index.ts';
import {
  Child,
  type Group,
  isAlive,
  kernelTellsExitCodes,
  orphan,
  startOrphan,
} from '../support/processes/outside-processes.ts';

/** Options without periodic checks: events must come without them. */
const nothingRegular = { idleAfterMs: 0, sweepIntervalMs: 1e9, observeIntervalMs: 0 };
const groups: Group[] = ['own group', 'our group'];

const sleepsBelow = (pid: number) => descendantsOf(pid).filter(({ name }) => name === 'sleep');

/** A server on a free port, which it writes to a file once it listens. */
const SAYS_ITS_PORT = `
import { renameSync, writeFileSync } from 'node:fs';
const { port } = Bun.serve({ port: 0, fetch: () => new Response('from a stranger') });
writeFileSync('port.new', String(port));
renameSync('port.new', 'port');`;

/** A server that reports SIGTERM, and goes on. */
const DEAF = `process.on('SIGTERM', () => console.log('asked'));\n${SERVER}`;

/** Ways to start `sleep`. */
const origins: Record<string, (pool: Pool) => Promise<number>> = {};
for (const group of groups) {
  origins[`a child in ${group}`] = async ({ tenants }) =>
    new Child(tenants, 'exec sleep 1000', group).pid;
  origins[`an orphan in ${group}`] = async ({ tenants }) =>
    (await orphan(tenants, 'exec sleep 1000', group)).pid;
}

for (const [origin, start] of Object.entries(origins)) {
  test(`${origin}: adopted, and its end is seen without looking`, async () => {
    await using pool = createPool(nothingRegular);
    const pid = await start(pool);
    const tenant = await pool.runtime.adopt('app', { pid }, { port: 4000 });
    expect(tenant).toMatchObject({ key: 'app', pid, port: 4000 });
    process.kill(pid, 'SIGKILL');
    expect(await pool.events.exit('app')).toEqual({
      ...{ type: 'exit', key: 'app', pid, exitCode: null, reason: 'crashed' },
    });
    expect(pool.events.of('adopt').length).toBe(1);
    expect(pool.events.of('spawn')).toEqual([]);
    await pool.dispose();
  });

  test(`${origin}: killed, and gone when kill resolves`, async () => {
    await using pool = createPool(nothingRegular);
    const pid = await start(pool);
    await pool.runtime.adopt('app', { pid, resourceId: 'vm-7' }, { port: 4000 });
    await within('kill', pool.runtime.kill('app'));
    expect(isAlive(pid)).toBe(false);
    expect(pool.events.of('exit')).toEqual([
      { type: 'exit', key: 'app', pid, exitCode: null, reason: 'killed', resourceId: 'vm-7' },
    ]);
    await pool.dispose();
  });
}

test('a leader of a process group: all processes of the group are ended, and no other', async () => {
  await using pool = createPool(nothingRegular);
  const bystanders = [
    new Child(pool.tenants, 'exec sleep 1000', 'our group').pid,
    new Child(pool.tenants, 'exec sleep 1000', 'own group').pid,
  ];
  const pid = startOrphan(pool.tenants, 'sleep 1000 & sleep 1000 & wait', 'own group');
  const helpers = await until('both helpers', () => {
    const below = sleepsBelow(pid);
    return below.length === 2 && below;
  });
  await pool.runtime.adopt('app', { pid }, { port: 4000 });
  await pool.runtime.kill('app');
  await untilGone('the group', helpers);
  expect(bystanders.map(isAlive)).toEqual([true, true]);
});

test('a process in the host’s group: it alone is ended, not its helpers or the host', async () => {
  await using pool = createPool(nothingRegular);
  const pid = startOrphan(pool.tenants, 'sleep 1000 & wait', 'our group');
  const helper = await until('the helper', () => sleepsBelow(pid)[0]);
  await pool.runtime.adopt('app', { pid }, { port: 4000 });
  await pool.runtime.kill('app');
  expect(isAlive(pid)).toBe(false);
  expect(isAlive(helper.pid)).toBe(true);
});

test('processes that a leader leaves in its group are ended when it ends', async () => {
  await using pool = createPool(nothingRegular);
  const pid = startOrphan(
    pool.tenants,
    "(trap '' TERM HUP; sleep 1000; sleep 1000) & exec sleep 1000",
    'own group',
  );
  const rest = await until('the helper', () => {
    const below = descendantsOf(pid);
    return processOf(pid)?.name === 'sleep' && sleepsBelow(pid).length === 1 && below;
  });
  await pool.runtime.adopt('app', { pid }, { port: 4000 });
  process.kill(pid, 'SIGKILL');
  await pool.events.exit('app');
  await untilGone('the rest of the group', rest);
});

test('a process that ignores SIGTERM gets SIGKILL after stopTimeoutMs', async () => {
  await using pool = createPool({ ...nothingRegular, stopTimeoutMs: 50 });
  const deaf = await orphan(pool.tenants, "trap '' TERM; exec sleep 1000", 'own group');
  await pool.runtime.adopt('app', { pid: deaf.pid }, { port: 4000 });
  await within('kill', pool.runtime.kill('app'));
  expect(isAlive(deaf.pid)).toBe(false);
  expect(pool.events.of('exit')[0]).toMatchObject({ exitCode: null, reason: 'killed' });
});

test('processes that the leader leaves during a stop have the rest of stopTimeoutMs, and are gone when kill resolves', async () => {
  await using pool = createPool({ ...nothingRegular, stopTimeoutMs: 2_000 });
  const script =
    'sh -c "trap \'echo asked > asked\' TERM; while :; do sleep 0.01; done" & exec sleep 1000';
  const { pid } = await orphan(pool.tenants, script, 'own group');
  const rest = await until('the helper', () => {
    const helper = descendantsOf(pid).find(({ name }) => name === 'sh');
    return helper && descendantsOf(helper.pid).length > 0 && helper;
  });
  await pool.runtime.adopt('app', { pid }, { port: 4000 });
  await within('kill', pool.runtime.kill('app'));
  expect(isAlive(rest.pid)).toBe(false);
  expect(readFileSync(join(pool.tenants.root, 'asked'), 'utf8')).toBe('asked\n');
  expect(pool.events.of('exit')).toMatchObject([{ reason: 'killed' }]);
  await pool.dispose();
});

test('SIGTERM comes first: a process can end in its own way', async () => {
  await using pool = createPool({ ...nothingRegular, stopTimeoutMs: 20_000 });
  const child = new Child(pool.tenants, "trap 'exit 5' TERM; sleep 1000 & wait", 'own group');
  await until('its trap is set', () => sleepsBelow(child.pid).length === 1);
  await pool.runtime.adopt('app', { pid: child.pid }, { port: 4000 });
  await pool.runtime.kill('app');
  expect(await child.ended).toEqual({ code: 5, signal: null });
});

test.if(kernelTellsExitCodes(release()))(
  'the exit code of a child is known even if another part of the host reaps it; an orphan’s is not',
  async () => {
    await using pool = createPool(nothingRegular);
    for (let round = 0; round < 20; round++) {
      const code = round % 3;
      const child = new Child(pool.tenants, `read word; exit ${code}`, groups[round % 2]!);
      const key = `app-${round}`;
      await pool.runtime.adopt(key, { pid: child.pid }, { port: 4000 });
      child.say('end');
      expect(await pool.events.exit(key)).toMatchObject({
        ...{ exitCode: code, reason: code === 0 ? 'exited-clean' : 'crashed' },
      });
    }
    const pid = startOrphan(
      pool.tenants,
      "trap 'exit 0' USR1; sleep 1000 & wait; sleep 1000",
      'own group',
    );
    await until('its trap is set', () => sleepsBelow(pid).length === 1);
    await pool.runtime.adopt('orphan', { pid }, { port: 4000 });
    process.kill(pid, 'SIGUSR1');
    expect(await pool.events.exit('orphan')).toMatchObject({ exitCode: null, reason: 'crashed' });
  },
);

test('a Bun subprocess is adopted as it is', async () => {
  await using pool = createPool(nothingRegular);
  const subprocess = Bun.spawn(['sleep', '1000'], { cwd: pool.tenants.root });
  const { pid } = await pool.runtime.adopt('app', subprocess, { port: 4000 });
  expect(pid).toBe(subprocess.pid);
  await pool.runtime.kill('app');
  expect(subprocess.signalCode).toBe('SIGTERM');
  expect(pool.events.of('exit')[0]).toMatchObject({ reason: 'killed' });

  const ends = Bun.spawn(['sh', '-c', 'read word; exit 3'], {
    cwd: pool.tenants.root,
    stdin: 'pipe',
  });
  await pool.runtime.adopt('ends', ends, { port: 4000 });
  ends.stdin.end();
  expect(await pool.events.exit('ends')).toMatchObject({ exitCode: 3, reason: 'crashed' });
});

test('a child of node:child_process is adopted in a wrapper', async () => {
  await using pool = createPool(nothingRegular);
  const child = spawn('sleep', ['1000'], { cwd: pool.tenants.root, stdio: 'ignore' });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const { pid = 0 } = child;
  await pool.runtime.adopt(
    'app',
    { pid, exited, kill: (signal) => void child.kill(signal) },
    { port: 4000 },
  );
  await pool.runtime.kill('app');
  expect(child.signalCode).toBe('SIGTERM');
});

test('an adopted server goes on serving; restart replaces it with a process of the pool’s own', async () => {
  await using pool = createPool(nothingRegular);
  pool.tenants.add('app', { 'stranger.ts': SAYS_ITS_PORT });
  const server = startOrphan(pool.tenants, 'cd app && exec bun stranger.ts', 'own group');
  const said = join(pool.tenants.root, 'app', 'port');
  const port = await until(
    'it listens',
    () => existsSync(said) && Number(readFileSync(said, 'utf8')),
  );
  const adopted = await pool.runtime.adopt('app', { pid: server }, { port });
  expect(await textOf(adopted)).toBe('from a stranger');
  expect(await pool.runtime.ensure('app')).toBe(adopted);

  const own = await within('restart', pool.runtime.restart('app'));
  expect(isAlive(server)).toBe(false);
  expect(await textOf(own)).toBe('hello');
  expect(pool.events.of('exit', 'app')).toMatchObject([{ pid: server, reason: 'restarted' }]);
  expect(pool.events.of('spawn', 'app')).toMatchObject([{ pid: own.pid }]);
  await pool.dispose();
});

test('after an adopted process has ended, ensure starts one of the pool’s own', async () => {
  await using pool = createPool(nothingRegular);
  pool.tenants.add('app');
  const { pid } = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  await pool.runtime.adopt('app', { pid }, { port: 4000 });
  process.kill(pid, 'SIGKILL');
  await pool.events.exit('app');
  expect(await textOf(await pool.runtime.ensure('app'))).toBe('hello');
  await pool.dispose();
});

test('the whole tree of an adopted process is observed, and inspect shows the last observation', async () => {
  await using pool = createPool({ idleAfterMs: 0, observeIntervalMs: 20 });
  const burn =
    'const { user } = process.cpuUsage(); while (process.cpuUsage().user < 200_000); setInterval(() => {}, 1e9)';
  const pid = startOrphan(pool.tenants, `bun -e '${burn}' & wait`, 'own group');
  await pool.runtime.adopt('app', { pid }, { port: 4000 });
  expect(pool.runtime.inspect('app')).toMatchObject({
    cpuMs: expect.any(Number),
    rssBytes: expect.any(Number),
  });
  const seen = await until('200 ms', () =>
    pool.events.observations('app').find(({ cpuMs }) => cpuMs >= 200),
  );
  expect(seen.rssBytes).toBeGreaterThan(5 << 20);
  const { cpuMs, rssBytes } = pool.events.observations('app').at(-1)!;
  expect(pool.runtime.inspect('app')).toMatchObject({ cpuMs, rssBytes });
  await pool.runtime.kill('app');
});

test('an idle adopted process is stopped, and the least recently active one is evicted', async () => {
  await using pool = createPool({ maxConcurrent: 1, idleAfterMs: 600_000 });
  pool.tenants.add('own');
  await pool.runtime.ensure('own');
  const tree = pool.tenants.processes();
  const first = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  await pool.runtime.adopt('first', { pid: first.pid }, { port: 4000 });
  expect(tree.map(({ pid }) => isAlive(pid))).not.toContain(true);
  expect(pool.events.of('lru-evict')).toMatchObject([{ key: 'own' }]);

  const now = Date.now();
  const second = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  const idle = { port: 4001, startedAt: now - 5_000, lastTouchedAt: now - 700_000 };
  await pool.runtime.adopt('second', { pid: second.pid }, idle);
  expect(isAlive(first.pid)).toBe(false);
  expect(await pool.events.exit('second')).toMatchObject({ reason: 'idle-killed' });
  expect(isAlive(second.pid)).toBe(false);
  await pool.dispose();
});

test('a process that ends while its adoption waits for room is refused', async () => {
  await using pool = createPool({ maxConcurrent: 1, stopTimeoutMs: 600_000 });
  pool.tenants.add('deaf', { 'server.ts': DEAF });
  const server = Number(await textOf(await pool.runtime.ensure('deaf'), '/pid'));
  const { pid } = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
  const adopted = pool.runtime.adopt('app', { pid }, { port: 4000 });
  adopted.catch(() => {});
  await pool.events.line('deaf', 'asked');
  process.kill(pid, 'SIGKILL');
  const error = await within(
    'refusal',
    adopted.then(
      () => undefined,
      (error) => error,
    ),
  );
  expect([error.code, error.message]).toEqual([
    'ERR_RUNTIME_SPAWN',
    'Tenant "app" cannot adopt the process: it has ended',
  ]);
  process.kill(server, 'SIGKILL');
  await pool.events.exit('deaf');
  expect(pool.events.of('adopt')).toEqual([]);
});

test('dispose ends what was adopted', async () => {
  await using pool = createPool(nothingRegular);
  const pid = startOrphan(pool.tenants, 'sleep 1000 & exec sleep 1000', 'own group');
  const all = await until('its helper', () => {
    const [helper] = descendantsOf(pid);
    const leader = processOf(pid);
    return leader?.name === 'sleep' && helper && [leader, helper];
  });
  await pool.runtime.adopt('app', { pid }, { port: 4000 });
  await pool.runtime.dispose();
  expect(pool.events.of('exit')).toMatchObject([{ pid, reason: 'disposed' }]);
  expect(isAlive(pid)).toBe(false);
  await untilGone('all of it', all);
});
