// A fuzz of the public surface: options, keys, calls, processes and functions. Runs in Bun and in
// Node.
import { readArguments, wrongUse } from './lib/arguments.mjs';
import { BrokenRule, broken, counts, uncaught } from './lib/fuzz/checks.mjs';
import { createRandom } from './lib/fuzz/random.mjs';
import * as rounds from './lib/fuzz/rounds.mjs';

const USAGE = `usage: node scripts/fuzz-surface.mjs [--seconds N] [--rounds N] [--seed S]     or with bun

  --seconds N  goes on for so long (default 10)
  --rounds N   at most so many rounds
  --seed S     of the first round (default: another one each time); --rounds 1 --seed S is one round again`;

const { values } = readArguments({
  usage: USAGE,
  flags: { seconds: { type: 'string' }, rounds: { type: 'string' }, seed: { type: 'string' } },
});
const end = performance.now() + numberOf('seconds', 10) * 1_000;
const first = numberOf('seed', Date.now() % 2 ** 31);
const most = numberOf('rounds', Infinity);
const kinds = Object.entries(rounds);

const engine = process.versions.bun
  ? `Bun ${process.versions.bun}`
  : `Node ${process.versions.node}`;
for (let seed = first; counts.rounds < most && performance.now() < end; seed += 1) {
  for (const [kind, round] of kinds) {
    try {
      await round(createRandom(seed));
      // Unhandled rejections are reported one turn later.
      await new Promise((resolve) => setTimeout(resolve));
      if (broken.length > 0) throw broken[0];
      if (uncaught.length > 0)
        throw new BrokenRule(`nothing goes uncaught, but: ${show(uncaught[0])}`);
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

/** @param {'seconds' | 'rounds' | 'seed'} name @param {number} byDefault */
function numberOf(name, byDefault) {
  const number = Number(values[name] ?? byDefault);
  return number >= 0 ? number : wrongUse(`--${name} must be a number, got ${values[name]}`, USAGE);
}

/** @param {unknown} error */
function show(error) {
  try {
    return error instanceof BrokenRule
      ? error.message
      : error instanceof Error
        ? error.stack
        : String(error);
  } catch {
    return 'what cannot be shown';
  }
}
