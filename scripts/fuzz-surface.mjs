// Structured fuzz of all that a user can give: options, keys, calls, processes and functions. Runs in Bun and in Node.
//
//   node scripts/fuzz-surface.mjs --seconds 60 [--seed 1]     or with bun
//   node scripts/fuzz-surface.mjs --rounds 1 --seed 4711      one round again
import { parseArgs } from 'node:util';
import { Broken, broken, counts, uncaught } from './lib/fuzz/checks.mjs';
import { createRandom } from './lib/fuzz/random.mjs';
import * as rounds from './lib/fuzz/rounds.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: 'Infinity' },
    seed: { type: 'string' },
  },
});
const end = performance.now() + Number(values.seconds) * 1_000;
const first = Number(values.seed ?? Date.now() % 2 ** 31);
const most = Number(values.rounds);
const kinds = Object.entries(rounds);

const engine = process.versions.bun ? `Bun ${process.versions.bun}` : `Node ${process.versions.node}`;
for (let seed = first; counts.rounds < most && performance.now() < end; seed += 1) {
  for (const [kind, round] of kinds) {
    try {
      await round(createRandom(seed));
      // What nobody caught is known a turn later.
      await new Promise((resolve) => setTimeout(resolve));
      if (broken.length > 0) throw broken[0];
      if (uncaught.length > 0) throw new Broken(`nothing goes uncaught, but: ${show(uncaught[0])}`);
    } catch (error) {
      console.error(`✘ ${kind}, --rounds 1 --seed ${seed}, ${engine}: ${show(error)}`);
      for (const reason of uncaught) console.error(`  uncaught: ${show(reason)}`);
      process.exit(1);
    }
  }
  counts.rounds += 1;
}
console.log(
  `${engine}: ${counts.rounds} rounds from seed ${first}, ${counts.calls} calls, ${counts.refused} refused, none broken`,
);
process.exit();

/** @param {unknown} error */
function show(error) {
  try {
    return error instanceof Broken ? error.message : error instanceof Error ? error.stack : String(error);
  } catch {
    return 'what cannot be shown';
  }
}
