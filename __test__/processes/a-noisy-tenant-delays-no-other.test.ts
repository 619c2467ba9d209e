// Other tenants do not wait for a noisy tenant's lines, however many they are and however slow
// onLog is; only its own exit does.
import { expect, test } from 'bun:test';
import { engineNames, startHost, Tenants } from '../support/processes/index.ts';

const TEST_MS = 60_000;
/** Two seconds of lines, at 0.2 ms each. The tenant may have written far more ahead. */
const MAX_LINES_MEANWHILE = 10_000;

type Seen = {
  duringEnsure: number;
  duringKill: number;
  untilItsOwnEnd: number;
  isInOrder: boolean;
  linesAfterExit: number;
};

for (const engine of engineNames) {
  test(
    engine,
    async () => {
      await using tenants = new Tenants()
        .add('noisy', {
          'start.sh': 'trap "seq 1 1000000000" USR2; bun server.ts & while :; do wait; done',
        })
        .add('quiet', { 'start.sh': 'exec bun server.ts' });
      await using host = startHost(engine, 'noisy.mjs', [tenants.root, 'noisy', 'quiet']);
      const seen = await host.saidJson<Seen>('seen', TEST_MS);
      expect(seen.duringEnsure).toBeLessThan(MAX_LINES_MEANWHILE);
      expect(seen.duringKill).toBeLessThan(MAX_LINES_MEANWHILE);
      expect(seen.isInOrder).toBe(true);
      expect(seen.linesAfterExit).toBe(0);
      // The lines that it had written ahead came before its exit: thousands, where it had a processor.
      expect(seen.untilItsOwnEnd).toBeGreaterThan(0);
    },
    TEST_MS,
  );
}
