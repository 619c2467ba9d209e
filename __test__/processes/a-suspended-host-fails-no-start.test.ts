// The host does not run for a while (SIGSTOP, a suspended laptop, a debugger). The time does not
// count against its tenants: a start that took too long because of it does not fail.
import { expect, test } from 'bun:test';
import {
  engineNames,
  processOf,
  slowToListen,
  startHost,
  Tenants,
  until,
} from '../support/processes/index.ts';

for (const engine of engineNames) {
  test(`a start that was slower than allowed because the host was stopped is waited for (${engine})`, async () => {
    await using tenants = new Tenants();
    // It becomes ready while the host is stopped, or right after, for longer than it may take in
    // all.
    const timeoutMs = 3_000;
    tenants.add('app', { 'server.ts': slowToListen(2_000) });
    await using host = startHost(engine, 'stopped.mjs', [tenants.root, 'app', String(timeoutMs)]);
    await host.said('spawned');
    host.kill('SIGSTOP');
    await until('it is stopped', () => processOf(host.pid)?.state === 'T');
    await Bun.sleep(timeoutMs + 500);
    host.kill('SIGCONT');
    expect(await host.said('outcome')).toBe('"ready"');
    expect(await host.exited).toEqual({ code: 0, signal: null });
  });
}
