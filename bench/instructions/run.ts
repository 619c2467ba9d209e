// Counts the instructions of the pool's operations, and compares them with budgets.json. Unlike
// times, they hardly depend on what else the machine does.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { run } from '../../scripts/lib/run.mjs';

const BUDGETS = new URL('budgets.json', import.meta.url);
/** Two repetition counts: the difference of their results is the cost of the operations alone. */
const TIMES = [2_000, 12_000] as const;
const TOLERANCE = 0.1;
const EXAMPLE = 'instructions';

interface Budget {
  operation: string;
  tenants: number;
  instructions: number;
  /** Why it was raised: what users have for it. */
  reason?: string;
}

interface Counter {
  name: string;
  command: readonly string[];
  pattern: RegExp;
}

const COUNTERS: readonly Counter[] = [
  {
    name: 'valgrind',
    command: ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null'],
    pattern: /Collected : (\d+)/,
  },
  {
    name: 'perf',
    command: ['perf', 'stat', '-x', ' ', '-e', 'instructions:u'],
    pattern: /^(\d+) .*instructions/m,
  },
];

/** Returns the exit code: 1 when an operation takes more than its budget allows. */
export async function runInstructions(isUpdate: boolean): Promise<number> {
  const counter = COUNTERS.find(({ command }) => countOf(command, ['true']) !== undefined);
  if (!counter) {
    console.error(
      '✘ instructions cannot be counted: install valgrind (apt-get install valgrind, dnf install valgrind), ' +
        'or allow perf to count (`perf stat -e instructions:u true` must work)',
    );
    return 1;
  }
  const program = await buildExample();
  if (!program) return 1;
  const { budgets } = JSON.parse(readFileSync(BUDGETS, 'utf8')) as { budgets: Budget[] };
  console.log(
    `instructions an operation, counted by ${counter.name}; allowed: ±${TOLERANCE * 100} %\n`,
  );
  const counted = budgets.map((budget) => {
    const instructions = perOperation(counter.command, program, budget);
    console.log(report(budget, instructions, isUpdate));
    return { ...budget, instructions };
  });
  if (isUpdate) {
    writeFileSync(BUDGETS, `${JSON.stringify({ budgets: counted }, null, 2)}\n`);
    console.log('\nwritten to bench/instructions/budgets.json');
    return 0;
  }
  const isOver = counted.some(
    ({ instructions }, index) => changeOf(budgets[index], instructions) > TOLERANCE,
  );
  console.log(
    isOver
      ? '\n✘ over budget: find out why, or accept it with --update and a reason beside it'
      : '\n✔ within budget',
  );
  return isOver ? 1 : 0;
}

/** Builds the program; returns its path. */
async function buildExample(): Promise<string | undefined> {
  const cargo = ['build', '--release', '--package', 'pool', '--example', EXAMPLE];
  const messages = ['--message-format=json-render-diagnostics'];
  const { exitCode, stdout } = await run('cargo', [...cargo, ...messages], { collectStdout: true });
  if (exitCode !== 0) return undefined;
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  const artifacts = lines.map((line) => JSON.parse(line));
  return artifacts.find(({ target, executable }) => target?.name === EXAMPLE && executable)
    ?.executable;
}

function perOperation(
  command: readonly string[],
  program: string,
  { operation, tenants }: Budget,
): number {
  const [few, many] = TIMES.map((times) =>
    countOf(command, [program, operation, `${tenants}`, `${times}`]),
  );
  if (few === undefined || many === undefined) throw new Error(`${operation} could not be counted`);
  return Math.round((many - few) / (TIMES[1] - TIMES[0]));
}

function countOf(
  [tool = '', ...options]: readonly string[],
  program: readonly string[],
): number | undefined {
  const { status, stderr } = spawnSync(tool, [...options, ...program], { encoding: 'utf8' });
  const { pattern } = COUNTERS.find(({ name }) => name === tool) ?? {};
  const count = status === 0 ? pattern?.exec(stderr)?.[1] : undefined;
  return count === undefined ? undefined : Number(count);
}

function report(budget: Budget, instructions: number, isUpdate: boolean): string {
  const change = changeOf(budget, instructions);
  const isOver = change > TOLERANCE && !isUpdate;
  const isUnder = change < -TOLERANCE && !isUpdate;
  const percent = `${change < 0 ? '' : '+'}${(change * 100).toFixed(1)} %`;
  const what = `${budget.operation}, ${budget.tenants.toLocaleString('en')} tenants`;
  const figures = `${String(instructions).padStart(8)} of ${String(budget.instructions).padStart(8)}`;
  const hint = isUnder ? '  better than its budget: lower it with --update' : '';
  return `${isOver ? '✘' : '✔'} ${what.padEnd(48)} ${figures}  ${percent.padStart(8)}${hint}`;
}

function changeOf(budget: Budget | undefined, instructions: number): number {
  return budget?.instructions ? instructions / budget.instructions - 1 : 0;
}
