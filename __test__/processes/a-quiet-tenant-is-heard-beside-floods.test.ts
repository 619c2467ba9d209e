// Lines are delivered from each tenant in turn: a quiet tenant does not wait for those that write
// without end.
import { expect, test } from 'bun:test';
import { createPool, textOf, until } from '../support/processes/index.ts';

const FLOODS = 8;
const LINES = 10;
const LINE_MS = 0.02;
/** A few turns of each flooding tenant, which have written a hundred times that ahead. */
const MAX_LINES_BETWEEN = 10_000;

const SAYS = `
let lines = 0;
Bun.serve({
  port: Number(process.env.PORT),
  fetch() {
    console.log('line', lines++);
    return new Response('said');
  },
});
`;

test('a quiet tenant’s line comes soon after it was written', async () => {
  let ofFloods = 0;
  const heardAt: number[] = [];
  await using pool = createPool({
    command: ['sh', 'start.sh'],
    stopTimeoutMs: 100,
    onLog({ key, line }) {
      if (key === 'quiet' && line.startsWith('line')) heardAt.push(ofFloods);
      if (key === 'quiet') return;
      ofFloods += 1;
      for (const end = performance.now() + LINE_MS; performance.now() < end;);
    },
  });
  pool.tenants.add('quiet', { 'start.sh': 'exec bun server.ts', 'server.ts': SAYS });
  const keys = Array.from({ length: FLOODS }, (_, index) => `flood-${index}`);
  for (const key of keys) pool.tenants.add(key, { 'start.sh': "bun server.ts & exec yes ''" });
  const quiet = await pool.runtime.ensure('quiet');
  await Promise.all(keys.map((key) => pool.runtime.ensure(key)));
  await until('they flood', () => ofFloods > 10_000);
  for (let count = heardAt.length; count < LINES; count = heardAt.length) {
    expect(await textOf(quiet)).toBe('said');
    const before = ofFloods;
    await until('it is heard', () => heardAt.length > count);
    expect((heardAt[count] ?? 0) - before).toBeLessThan(MAX_LINES_BETWEEN);
  }
});
