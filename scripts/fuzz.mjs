// `node scripts/fuzz.mjs`: runs the fuzz targets of fuzz/targets one after the other, and reports
// the executions and findings of each. The corpus stays in fuzz/corpus, findings in
// fuzz/artifacts.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments, wrongUse } from './lib/arguments.mjs';
import { root } from './lib/paths.mjs';
import { run, runScript, ScriptError } from './lib/run.mjs';

const DEFAULT_SECONDS = 600;
/** Larger inputs find nothing more in these targets, and slow them down. */
const INPUT_BYTES_MAX = 4096;
const directory = join(root, 'fuzz');
const targets = readdirSync(join(directory, 'targets')).map((name) => name.replace(/\.rs$/, ''));

const USAGE = `usage: node scripts/fuzz.mjs [--seconds <n>] [--sanitizer <none|address>] [target …]

  --seconds    how long each target runs (${DEFAULT_SECONDS})
  --sanitizer  none (default: what is fuzzed is safe Rust), or address, which is slower

targets: ${targets.join(', ')}`;

/**
 * @typedef {{ target: string, executions: number, perSecond: number, edges: number, inputs:
 * number, isGood: boolean }} Result
 */

const { values, words } = readArguments({
  usage: USAGE,
  flags: { seconds: { type: 'string' }, sanitizer: { type: 'string' } },
  words: { kind: 'target', known: targets },
  maxWords: Infinity,
});
const seconds = Number(values.seconds ?? DEFAULT_SECONDS);
if (!Number.isInteger(seconds) || seconds < 1)
  wrongUse(`--seconds must be a whole number above 0, got ${values.seconds}`, USAGE);
const sanitizer = values.sanitizer ?? 'none';
if (!['none', 'address'].includes(sanitizer))
  wrongUse(`--sanitizer must be none or address, got ${sanitizer}`, USAGE);

// `run` passes the signal on to the target.
let isStopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (isStopped = true));

await runScript(async () => {
  requireCargoFuzz();
  const results = [];
  for (const target of words.length > 0 ? words : targets) {
    if (!isStopped) results.push(await fuzz(target));
  }
  console.log(`\n${table(results)}`);
  return results.every(({ isGood }) => isGood) ? 0 : 1;
});

function requireCargoFuzz() {
  if (spawnSync('cargo', ['fuzz', '--version']).status === 0) return;
  throw new ScriptError(
    'cargo-fuzz was not found: cargo install --locked cargo-fuzz, and run this again',
  );
}

/** @param {string} target @returns {Promise<Result>} */
async function fuzz(target) {
  console.log(`\n━━ ${target}, ${seconds} s`);
  const corpus = join(directory, 'corpus', target);
  mkdirSync(corpus, { recursive: true });
  let output = '';
  const limits = [
    `-max_total_time=${seconds}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    '-print_final_stats=1',
  ];
  const { exitCode } = await run(
    'cargo',
    [
      'fuzz',
      'run',
      '--fuzz-dir',
      directory,
      '--sanitizer',
      sanitizer,
      target,
      corpus,
      '--',
      ...limits,
    ],
    // A sanitizer is an unstable flag of the compiler, which this variable allows.
    {
      onOutput: (text) => (output += text),
      env: sanitizer === 'none' ? {} : { RUSTC_BOOTSTRAP: '1' },
    },
  );
  return {
    target,
    executions: last(/stat::number_of_executed_units:\s+(\d+)/g, output),
    perSecond: last(/stat::average_exec_per_sec:\s+(\d+)/g, output),
    edges: last(/ cov: (\d+)/g, output),
    inputs: last(/ corp: (\d+)/g, output),
    isGood: exitCode === 0,
  };
}

/** @param {RegExp} pattern @param {string} output */
function last(pattern, output) {
  return Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0);
}

/** @param {Result[]} results */
function table(results) {
  const rows = results.map(({ target, executions, perSecond, edges, inputs, isGood }) => {
    const bad = isStopped ? 'stopped early' : `see above, and fuzz/artifacts/${target}`;
    const found = isGood ? 'nothing' : bad;
    const figures = [executions, perSecond, edges, inputs].map((figure) =>
      figure.toLocaleString('en'),
    );
    return `| \`${target}\` | ${figures.join(' | ')} | ${found} |`;
  });
  const head = '| target | executions | a second | edges reached | inputs kept | found |';
  return [head, '|---|---|---|---|---|---|', ...rows].join('\n');
}
