// A host may change its user, priority or limits while it runs. Tenants that it starts afterwards
// have the changed ones, and earlier tenants can still be stopped.
import { expect, test } from 'bun:test';
import { chmodSync } from 'node:fs';
import {
  assertGone,
  descendantsOf,
  engineNames,
  processes,
  startHost,
  Tenants,
  untilGone,
} from '../support/processes/index.ts';

type Seen = { pid: number; seen: string[] };
type Report = { first: Seen; plain: string[]; second: Seen; third: Seen };

const wardensOf = (host: number) =>
  processes().filter(
    ({ parent, name, state }) => parent === host && name === 'abs-warden' && state !== 'Z',
  );

for (const engine of engineNames) {
  for (const what of ['share', 'rights'] as const) {
    const isPossible = what === 'share' || process.getuid?.() === 0;
    test.skipIf(!isPossible)(`${engine}: other ${what}`, async () => {
      await using tenants = new Tenants().add('before').add('after').add('later');
      chmodSync(tenants.root, 0o755);
      await using host = startHost(engine, 'changes.mjs', [tenants.root, what]);
      const { first, plain, second, third } = await host.saidJson<Report>('seen');
      expect(first.seen).not.toEqual(plain);
      expect(second.seen).toEqual(plain);
      expect(third.seen).toEqual(plain);
      // The old warden stays for as long as it has tenants; a new one starts the new tenants.
      const [old, now, ...more] = wardensOf(host.pid);
      expect([old, now, more]).toEqual([expect.anything(), expect.anything(), []]);
      const tree = descendantsOf(host.pid);
      host.say('end');
      await host.said('killed');
      const exit = JSON.parse(
        host.lines.find((line) => line.startsWith('exit')!)!.slice('exit '.length),
      );
      expect(exit).toMatchObject({ key: 'before', pid: first.pid, reason: 'killed' });
      await untilGone('the warden that has no tenants left', [old!]);
      await host.said('disposed');
      assertGone('what it started', tree);
      expect(await host.end()).toEqual({ code: 0, signal: null });
    });
  }
}
