// Other tenants do not wait for a noisy one's lines, however many there are and however slow onLog is; its own exit does.
import { expect, test } from 'bun:test';
import { engineNames, startHost, Tenants } from '../support/processes/index.ts';

const TEST_MS = 60_000;
/** A fifth of a millisecond each: two seconds of a busy machine. What a tenant may have written ahead is far more. */
const MOST_LINES_MEANWHILE = 10_000;

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
        .add('noisy', { 'start.sh': 'trap "seq 1 1000000000" USR2; bun server.ts & while :; do wait; done' })
        .add('quiet', { 'start.sh': 'exec bun server.ts' });
      await using host = startHost(engine, 'noisy.mjs', [tenants.root, 'noisy', 'quiet']);
      const seen = await host.saidJson<Seen>('seen', TEST_MS);
      expect(seen.duringEnsure).toBeLessThan(MOST_LINES_MEANWHILE);
      expect(seen.duringKill).toBeLessThan(MOST_LINES_MEANWHILE);
      expect(seen.isInOrder).toBe(true);
      expect(seen.linesAfterExit).toBe(0);
      // It had written ahead, and all of that came before its exit.
      expect(seen.untilItsOwnEnd).toBeGreaterThan(1_000);
    },
    TEST_MS,
  );
}
