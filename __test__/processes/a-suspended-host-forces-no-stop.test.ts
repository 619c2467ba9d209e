// The host is suspended (SIGSTOP, as a suspended machine) while a tenant is ending. That time does
// not count, since the host could not see the end: the tenant gets no SIGKILL when the host goes
// on.
import { expect, test } from 'bun:test';
import { assertGone, engineNames, SERVER, startHost, Tenants } from '../support/processes/index.ts';

const STOP_TIMEOUT_MS = 2_000;
const HOST_STOPPED_MS = 2_500;
const FAREWELL_MS = 3_000;

const SLOW_TO_END = `
${SERVER}
process.once('SIGTERM', () => {
  console.log('ending');
  setTimeout(() => { console.log('farewell'); process.exit(0); }, ${FAREWELL_MS});
});`;

for (const engine of engineNames) {
  test(`${engine}: a tenant has its whole time to end`, async () => {
    await using tenants = new Tenants().add('slow', {
      'server.ts': SLOW_TO_END,
      start: 'exec bun server.ts',
    });
    await using host = startHost(engine, 'patient.mjs', [
      tenants.root,
      'slow',
      `${STOP_TIMEOUT_MS}`,
    ]);
    await host.said('ending');
    host.kill('SIGSTOP');
    await Bun.sleep(HOST_STOPPED_MS);
    host.kill('SIGCONT');
    expect(await host.saidJson('exit')).toEqual({ exitCode: 0, reason: 'killed' });
    expect(host.lines).toContain('farewell');
    expect(await host.end()).toEqual({ code: 0, signal: null });
    assertGone('after dispose', tenants.processes());
  });
}
