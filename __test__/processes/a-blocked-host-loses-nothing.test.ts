// The host's JavaScript is blocked for ten seconds, while tenants start, write, end and are
// stopped. All events are delivered afterwards, and no tenant is affected.
import { expect, test } from 'bun:test';
import { assertGone, engineNames, SERVER, startHost, Tenants } from '../support/processes/index.ts';

const BLOCKED_MS = 10_000;
const LINES = 2_000;

const WRITES = `
${SERVER}
let written = 0;
const writing = setInterval(() => {
  for (let line = 0; line < 10; line++) console.log(written++);
  if (written === ${LINES}) clearInterval(writing);
}, 10);`;
const ENDS = `${SERVER}\nsetTimeout(() => process.exit(3), 2_000);`;
const SLOW = `await Bun.sleep(1_000);\n${SERVER}`;
const GRACEFUL = `
${SERVER}
process.on('SIGTERM', () => setTimeout(() => { console.log('farewell'); process.exit(0); }, 200));`;

type Told = { type: string; key: string; reason?: string; exitCode?: number | null };
type Unblocked = {
  body: string;
  told: Told[];
  lines: Record<string, string[]>;
  stats: { running: number };
};

for (const engine of engineNames) {
  test(`${engine}: for ten seconds`, async () => {
    await using tenants = new Tenants()
      .add('writes', { 'server.ts': WRITES })
      .add('ends', { 'server.ts': ENDS })
      .add('starts', { 'server.ts': SLOW })
      .add('stopped', { 'server.ts': GRACEFUL, start: 'exec bun server.ts' })
      .add('stays');
    await using host = startHost(engine, 'blocked.mjs', [
      tenants.root,
      `${BLOCKED_MS}`,
      `${LINES - 1}`,
    ]);
    const { body, told, lines, stats } = await host.saidJson<Unblocked>('unblocked', 60_000);
    expect(body).toBe('hello');
    const exits = told.filter(({ type }) => type === 'exit');
    const ends = exits.map(({ key, reason }) => [key, reason]).sort();
    expect(ends).toEqual([
      ['ends', 'crashed'],
      ['stopped', 'killed'],
    ]);
    expect(exits.find(({ key }) => key === 'ends')?.exitCode).toBe(3);
    expect(stats.running).toBe(3);
    const written = lines.writes?.filter((line) => /^\d+$/.test(line));
    expect(written).toEqual(Array.from({ length: LINES }, (_, index) => String(index)));
    await host.said('disposed');
    expect(await host.end()).toEqual({ code: 0, signal: null });
    assertGone('after dispose', tenants.processes());
  }, 90_000);
}
