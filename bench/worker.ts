// The measured process: one scenario, one subject, one round. Prints its sample as JSON. Can be
// run alone, under a profiler for example: `bun bench/worker.ts log-lines ours`.
import { scenarios } from './scenarios.ts';
import { NotPossible } from './lib/scenario.ts';

process.env.BENCH_ROOT ??= new URL('..', import.meta.url).href;
const [name, subject = 'ours', mode] = process.argv.slice(2);
const measure = scenarios.find((scenario) => scenario.name === name)?.subjects[subject];
if (!measure) throw new Error(`there is no scenario "${name}" with a subject "${subject}"`);

try {
  print({ sample: await measure({ isQuick: mode === 'quick' }) });
} catch (error) {
  if (!(error instanceof NotPossible)) throw error;
  print({ notPossible: error.message });
}
// Exits without `dispose`, which is measured in scenarios of its own: tenants end with this
// process.
process.exit();

function print(result: object): void {
  console.log(JSON.stringify(result));
}
