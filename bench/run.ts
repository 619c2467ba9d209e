// The benchmarks: every scenario, or those named, for every subject in turn. See `--help`.
import { writeFileSync } from 'node:fs';
import { chart } from './lib/chart.ts';
import { describeMachine, machineInWords } from './lib/machine.ts';
import { goalsInWords, markdown, type Measured, progress, table } from './lib/report.ts';
import type { Sample, Scenario } from './lib/scenario.ts';
import { bundleForNode, runWorker } from './lib/workers.ts';
import { FLEET_NAMES } from './fleet/names.ts';
import { runInstructions } from './instructions/run.ts';
import { readArguments, wrongUse } from '../scripts/lib/arguments.mjs';
import { scenarios } from './scenarios.ts';

const ROUNDS = 5;

const { values: options, words: names } = readArguments({
  usage: help(),
  flags: {
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    node: { type: 'boolean', default: false },
    before: { type: 'string' },
    json: { type: 'string' },
    update: { type: 'boolean', default: false },
  },
  words: {
    kind: 'scenario',
    known: [
      ...scenarios.map(({ name }) => name),
      ...groups(),
      'instructions',
      'dashboard',
      'command',
      'survival',
      'density',
      ...FLEET_NAMES,
    ],
  },
  maxWords: Infinity,
});

if (names.includes('instructions')) {
  process.exitCode = await runInstructions(options.update);
} else if (names.includes('dashboard')) {
  // On demand: the others do without a browser.
  const { runDashboard } = await import('./dashboard/run.ts');
  process.exitCode = await runDashboard();
} else if (names.includes('command')) {
  const { runCommand } = await import('./command/run.ts');
  process.exitCode = await runCommand();
} else if (names.includes('survival')) {
  const { runSurvival } = await import('./survival/run.ts');
  process.exitCode = await runSurvival();
} else if (names.includes('density')) {
  const { runDensity } = await import('./density/run.ts');
  process.exitCode = await runDensity();
} else if (names.some((name) => FLEET_NAMES.includes(name))) {
  const { runFleet } = await import('./fleet/run.ts');
  process.exitCode = await runFleet(names);
} else {
  await measure(chosenScenarios());
}

function chosenScenarios(): readonly Scenario[] {
  if (names.length === 0) return scenarios;
  const isNamed = (name?: string) => name !== undefined && names.includes(name);
  return scenarios.filter(({ name, group }) => isNamed(name) || isNamed(group));
}

function groups(): string[] {
  return [...new Set(scenarios.flatMap(({ group }) => group ?? []))];
}

async function measure(chosen: readonly Scenario[]): Promise<void> {
  const rounds = roundsAsked();
  const machine = describeMachine();
  console.log(`${machineInWords(machine)}\n`);
  if (machine.isBusy) console.log('! other programs are busy: figures will be noisy\n');
  const nodeWorker = options.node ? await bundleForNode() : undefined;
  const measured: Measured[] = [];
  for (const scenario of chosen) measured.push(await measureScenario(scenario, rounds, nodeWorker));
  const command = ['npm run bench', ...flagsGiven()].join(' ');
  const run = { machine, command, rounds, isQuick: options.quick, measured };
  console.log(`\n${table(measured)}\n\n${goalsInWords(measured)}`);
  if (options.json) writeFileSync(options.json, JSON.stringify(run, null, 2));
  if (chosen.length < scenarios.length || options.node || options.before) return;
  writeFileSync(new URL('RESULTS.md', import.meta.url), markdown(run));
  writeFileSync(new URL('results.svg', import.meta.url), chart(measured));
  console.log('\nwritten to bench/RESULTS.md and bench/results.svg');
}

async function measureScenario(
  scenario: Scenario,
  maxRounds: number,
  nodeWorker: string | undefined,
): Promise<Measured> {
  const samples: Record<string, (Sample | undefined)[]> = {};
  const problems = new Map<string, string>();
  const count = Math.min(maxRounds, scenario.maxRounds ?? maxRounds);
  console.log(`━━ ${scenario.name}: ${scenario.title.replaceAll('`', '')}`);
  for (let round = 0; round < count; round += 1) {
    for (const subject of [
      ...Object.keys(scenario.subjects),
      ...(options.before ? ['before'] : []),
    ]) {
      if (scenario.slow?.includes(subject) && (round > 0 || options.quick)) {
        if (options.quick) problems.set(subject, 'takes minutes: left out of a quick run');
        continue;
      }
      const isOurs = subject.startsWith('ours');
      const result = await runWorker({
        scenario: scenario.name,
        subject: subject === 'before' ? 'ours' : subject,
        packageRoot: subject === 'before' ? options.before : undefined,
        isQuick: options.quick,
        nodeWorker: isOurs ? nodeWorker : undefined,
        timeoutMs: scenario.timeoutMs,
      });
      (samples[subject] ??= [])[round] = 'sample' in result ? result.sample : undefined;
      if ('problem' in result) problems.set(subject, result.problem);
      const said =
        'problem' in result
          ? `not measured: ${result.problem}`
          : progress(scenario, samples, subject);
      console.log(`   ${round + 1}/${count} ${subject.padEnd(16)} ${said}`);
    }
  }
  return { scenario, rounds: samples, problems };
}

function roundsAsked(): number {
  const rounds = Number(options.rounds ?? (options.quick ? 1 : ROUNDS));
  if (Number.isInteger(rounds) && rounds > 0) return rounds;
  return wrongUse(`--rounds must be a whole number of at least 1, got ${options.rounds}`, help());
}

function flagsGiven(): string[] {
  const flags = [options.quick && '--quick', options.rounds && `--rounds ${options.rounds}`];
  const given = flags.filter((flag) => typeof flag === 'string' && flag !== '');
  return given.length > 0 ? ['--', ...(given as string[])] : [];
}

function help(): string {
  const list = scenarios.map(
    ({ name, title }) => `  ${name.padEnd(24)} ${title.replaceAll('`', '')}`,
  );
  return `npm run bench -- [scenario …] [--rounds N] [--quick] [--node] [--before DIR] [--json FILE]

Without a scenario all are measured, and bench/RESULTS.md and bench/results.svg are written.
  --rounds N   rounds of every scenario (default ${ROUNDS}; slow scenarios take fewer)
  --quick      one round with few repetitions
  --node       this package under Node; the plain pool and the floor stay on Bun
  --before DIR also measures the package built in another checkout, in the same rounds
  --json FILE  also writes every observation

scenarios (all of \`${groups().join('`, `')}\` by that name):
${list.join('\n')}
  ${'instructions'.padEnd(24)} instructions of the pool's hot operations, against their budgets (--update sets these)
  ${'dashboard'.padEnd(24)} the operator's page with 1,000 tenants, in Chromium
  ${'density'.padEnd(24)} idle tenants kept running, asleep and stopped: how many fit, how long a request waits
  ${'fleet'.padEnd(24)} hosts that are killed or drained, a store that is gone, and what a fleet costs (root only);
  ${''.padEnd(24)} one row of it: ${FLEET_NAMES.slice(1).join(', ')}
  ${'command'.padEnd(24)} serve until the first answer, ps with 1,000 tenants, the page's weight`;
}
