// Lines for a slow onLog arrive even if nothing else ever wakes the host.
import { expect, test } from 'bun:test';
import { engineNames, startHost, Tenants } from '../support/processes/index.ts';

const LINES = 300;

for (const engine of engineNames) {
  test(`${engine}: the last line of many`, async () => {
    await using tenants = new Tenants().add('app', {
      'start.sh': 'trap "seq -f \'line %.0f\' 1 300" USR2; bun server.ts & while :; do wait; done',
    });
    await using host = startHost(engine, 'last-line.mjs', [tenants.root, 'app', String(LINES)]);
    process.kill(await host.saidJson<number>('waiting'), 'SIGUSR2');
    // They take 600 ms.
    expect(await host.saidJson('seen', 4_000)).toBe(LINES);
    expect((await host.end()).code).toBe(0);
  });
}
