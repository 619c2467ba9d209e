// Any amount of output arrives complete and in order, in bounded memory, and without holding up
// anything else.
import { expect, test } from 'bun:test';
import {
  FLOOD_TEST_MS,
  LINE_BYTES,
  LINES,
  LONG_LINE_BYTES,
  longLines,
  numberedLines,
  oneLine,
  SLOW_LINES,
  takeFlood,
} from '../support/processes/floods.ts';
import { engineNames } from '../support/processes/index.ts';

const aTest = (name: string, body: () => Promise<void>) => test(name, body, FLOOD_TEST_MS);

for (const engine of engineNames) {
  aTest(`${engine}: 200 MB from one tenant while another starts`, async () => {
    const seen = await takeFlood(engine, numberedLines, 'start another');
    expect(seen.lines).toBe(LINES);
    expect(seen.bytes).toBe(LINES * (LINE_BYTES - 1));
    // It started in the middle of it.
    expect(seen.bytesWhenOtherWasReady).toBeLessThan(seen.bytes);
    expect(seen.otherMs).toBeLessThan(3_000);
    expect(seen.slowestTimerMs).toBeLessThan(1_000);
  });

  aTest(`${engine}: one line of 300 MB`, async () => {
    const seen = await takeFlood(engine, oneLine);
    expect(seen.bytes).toBe(LONG_LINE_BYTES);
    expect(seen.longestBytes).toBeLessThanOrEqual(64 << 10);
    // Pieces, not crumbs.
    expect(seen.lines).toBeLessThan((2 * LONG_LINE_BYTES) / (64 << 10));
  });

  aTest(`${engine}: an onLog that takes its time`, async () => {
    const seen = await takeFlood(engine, longLines, 'slow lines');
    expect(seen.lines).toBe(SLOW_LINES);
  });
}
