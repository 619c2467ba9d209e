// The warden and its keepers are stopped (SIGSTOP) from outside. They still carry out their
// orders, and tenants end with their host.
import { expect, test } from 'bun:test';
import {
  createPool,
  descendantsOf,
  engineNames,
  keeperOf,
  type Process,
  pause,
  processOf,
  signal,
  slowToListen,
  startHost,
  Tenants,
  textOf,
  until,
  untilGone,
  wardenOf,
  within,
} from '../support/processes/index.ts';

function stop(helper: Process | undefined) {
  signal(helper, 'SIGSTOP');
  return until('it is stopped', () => processOf(helper?.pid ?? 0)?.state === 'T');
}

const stopWarden = () => stop(wardenOf(process.pid));

test('with a stopped warden a tenant is killed, another is started, and dispose leaves nothing', async () => {
  await using pool = createPool({ stopTimeoutMs: 300 });
  ['app', 'other'].forEach((key) => pool.tenants.add(key));
  await pool.runtime.ensure('app');
  await stopWarden();
  await within('kill', pool.runtime.kill('app'));
  await stopWarden();
  expect(await textOf(await within('ensure', pool.runtime.ensure('other')))).toBe('hello');
  await stopWarden();
  await pool.dispose();
  expect(wardenOf(process.pid)).toBeUndefined();
});

test('an idle stopped warden ends at dispose', async () => {
  await using pool = createPool();
  pool.tenants.add('app');
  await pool.runtime.ensure('app');
  await pool.runtime.kill('app');
  await stopWarden();
  await pool.dispose();
  expect(wardenOf(process.pid)).toBeUndefined();
});

test('with a stopped warden a start can be cancelled', async () => {
  await using pool = createPool();
  ['app', 'other'].forEach((key) => pool.tenants.add(key));
  await pool.runtime.ensure('app');
  await stopWarden();
  const starting = pool.runtime.ensure('other');
  starting.catch(() => {});
  // By then the start has been sent to the warden.
  await pause(50);
  await within('kill', pool.runtime.kill('other'));
  await expect(starting).rejects.toThrow();
  await pool.dispose();
});

test('a tenant with a stopped keeper is killed', async () => {
  await using pool = createPool({ stopTimeoutMs: 300 });
  pool.tenants.add('app');
  const { pid } = await pool.runtime.ensure('app');
  await stop(keeperOf(pid));
  await within('kill', pool.runtime.kill('app'));
  await pool.dispose();
});

for (const warden of ['running', 'stopped']) {
  test(`a tenant that dies below a stopped keeper and a ${warden} warden is not handed out`, async () => {
    // No sweep comes in time.
    await using pool = createPool({ sweepIntervalMs: 60_000 });
    pool.tenants.add('app');
    const { pid } = await pool.runtime.ensure('app');
    await stop(keeperOf(pid));
    if (warden === 'stopped') await stopWarden();
    process.kill(pid, 'SIGKILL');
    await pool.events.exit('app');
    const next = await within('ensure', pool.runtime.ensure('app'));
    expect(next.pid).not.toBe(pid);
    expect(await textOf(next)).toBe('hello');
    await pool.dispose();
  });

  test(`a start that dies below a stopped keeper and a ${warden} warden fails at a sweep`, async () => {
    await using pool = createPool({ sweepIntervalMs: 200 });
    pool.tenants.add('app', { start: 'exec bun server.ts', 'server.ts': slowToListen(60_000) });
    const starting = pool.runtime.ensure('app');
    starting.catch(() => {});
    const { pid } = await until('it is spawned', () => pool.events.of('spawn', 'app')[0]);
    await stop(keeperOf(pid));
    if (warden === 'stopped') await stopWarden();
    process.kill(pid, 'SIGKILL');
    await expect(within('ensure', starting)).rejects.toThrow('before it was ready');
    await pool.dispose();
  });
}

for (const engine of engineNames) {
  test(`${engine}: a killed host with a stopped warden and a stopped keeper leaves no process`, async () => {
    await using tenants = new Tenants().add('app').add('other');
    await using host = startHost(engine, 'ends.mjs', [tenants.root, 'app,other', '']);
    await host.said('up');
    const warden = wardenOf(host.pid);
    if (!warden) throw new Error('there is a warden');
    const all = [warden, ...descendantsOf(warden.pid)];
    await stop(all.find(({ name }) => name === 'abs-keeper'));
    await stop(warden);
    host.kill('SIGKILL');
    await until('the host ends', () => host.hasEnded);
    await untilGone('a moment after the host', all);
  });
}

test('a killed host and a killed warden with stopped keepers leave no process', async () => {
  await using tenants = new Tenants().add('app', { start: 'setsid sleep 1000 & bun server.ts' });
  await using host = startHost('Node', 'ends.mjs', [tenants.root, 'app', '']);
  await host.said('up');
  const warden = wardenOf(host.pid);
  if (!warden) throw new Error('there is a warden');
  const all = [warden, ...descendantsOf(warden.pid)];
  for (const { pid } of all.filter(({ name }) => name === 'abs-keeper')) await stop(processOf(pid));
  host.kill('SIGKILL');
  process.kill(warden.pid, 'SIGKILL');
  await until('the host ends', () => host.hasEnded);
  await untilGone('a moment after both', all);
});
