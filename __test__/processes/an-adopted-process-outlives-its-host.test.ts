// An adopted process is not the warden's child: `kill` and `dispose` stop it, but it runs on when
// the host ends, for the next host to adopt. It does not keep the host alive.
import { expect, test } from 'bun:test';
import { createPool, engineNames, startHost, Tenants, until } from '../support/processes/index.ts';
import { isAlive, orphan } from '../support/processes/outside-processes.ts';

for (const engine of engineNames) {
  test(`${engine}: a host with nothing else to do ends, and the adopted process runs on`, async () => {
    await using tenants = new Tenants();
    const { pid } = await orphan(tenants, 'exec sleep 1000', 'own group');
    await using host = startHost(engine, 'adopts.mjs', [tenants.root, `${pid}`, 'nothing']);
    expect(await host.end()).toEqual({ code: 0, signal: null });
    expect(host.errors).toBe('');
    expect(host.lines.length).toBe(1);
    expect(isAlive(pid)).toBe(true);
  });

  test(`${engine}: the next host can adopt the process of a killed one`, async () => {
    await using pool = createPool();
    const { pid } = await orphan(pool.tenants, 'exec sleep 1000', 'own group');
    await using host = startHost(engine, 'adopts.mjs', [pool.tenants.root, `${pid}`, 'wait']);
    const { startedAt } = await host.saidJson<{ startedAt: number }>('adopted');
    host.kill('SIGKILL');
    await host.end();
    expect(isAlive(pid)).toBe(true);

    const tenant = await pool.runtime.adopt('app', { pid }, { port: 4000, startedAt });
    expect(tenant).toMatchObject({ pid, startedAt });
    await pool.dispose();
    expect(isAlive(pid)).toBe(false);
  });

  test(`${engine}: dispose ends an adopted process`, async () => {
    await using tenants = new Tenants();
    const { pid } = await orphan(tenants, 'exec sleep 1000', 'own group');
    await using host = startHost(engine, 'adopts.mjs', [tenants.root, `${pid}`, 'dispose']);
    await host.said('disposed');
    expect(isAlive(pid)).toBe(false);
    expect(await host.end()).toEqual({ code: 0, signal: null });
    await until('nothing is left', () => tenants.processes().length === 0);
  });
}
