// The host's timers run while a slow onLog is called, however few lines a read of the output has.
import { expect, test } from 'bun:test';
import { FLOOD_TEST_MS, longLines, takeFlood } from '../support/processes/floods.ts';
import { engineNames } from '../support/processes/index.ts';

/** Three lines in a read. */
const middlingLines = `
  for (let index = 0; index < 2000; index++) yield Buffer.from(String(index).padStart(19_999, '.') + '\\n');`;

for (const engine of engineNames) {
  for (const [name, chunks] of Object.entries({
    'long lines': longLines,
    'middling lines': middlingLines,
  })) {
    test(
      `${engine}: ${name}`,
      async () => {
        const seen = await takeFlood(engine, chunks, 'slow lines');
        // A turn is some milliseconds long; the rest is for a busy machine. A timer every 5 ms,
        // over two seconds.
        expect(seen.slowestTimerMs).toBeLessThan(500);
        expect(seen.ticks).toBeGreaterThan(80);
      },
      FLOOD_TEST_MS,
    );
  }
}
