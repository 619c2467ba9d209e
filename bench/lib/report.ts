// The results as a table: in the terminal, and as bench/RESULTS.md.
import {
  figure,
  median,
  observations,
  ratio,
  type Rounds,
  shown,
  shownFigure,
  verdict,
} from './figures.ts';
import { type Machine, machineInWords } from './machine.ts';
import { type Columns, type Metric, POOLS, type Scenario } from './scenario.ts';

export interface Measured {
  scenario: Scenario;
  rounds: Rounds;
  /** Why a subject was not measured. */
  problems: ReadonlyMap<string, string>;
}

export interface Run {
  machine: Machine;
  command: string;
  rounds: number;
  isQuick: boolean;
  measured: readonly Measured[];
}

const HEADER_OF_BEFORE = ['before', '÷ before'];

const columnsOf = ({ columns = POOLS }: Scenario) => columns;

/** A table for each set of columns, one below the other. */
export function table(measured: readonly Measured[]): string {
  const sets = new Set(measured.map(({ scenario }) => columnsOf(scenario)));
  return [...sets]
    .map((columns) =>
      tableOf(
        columns,
        measured.filter(({ scenario }) => columnsOf(scenario) === columns),
      ),
    )
    .join('\n\n');
}

function tableOf(columns: Columns, measured: readonly Measured[]): string {
  const hasBefore = measured.some(({ rounds }) => rounds.before);
  const names = Object.values(columns);
  const ratios = references(columns).map((subject) => `÷ ${columns[subject]}`);
  const header = ['scenario', '', ...names, ...ratios, 'goal', 'met'];
  if (hasBefore) header.push(...HEADER_OF_BEFORE);
  const rows = [
    header,
    header.map(() => '---'),
    ...measured.flatMap((scenario) => rowsOf(scenario, columns, hasBefore)),
  ];
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The subjects that the package is compared with. */
const references = (columns: Columns) => Object.keys(columns).filter((it) => it !== 'ours');

function rowsOf({ scenario, rounds }: Measured, columns: Columns, hasBefore: boolean): string[][] {
  return scenario.metrics.map((metric, index) => [
    index === 0 ? scenario.title : '',
    metric.label,
    ...Object.keys(columns).map((column) => shownFigure(rounds, column, metric)),
    ...references(columns).map((it) => shownRatio(ratio(rounds, metric.id, 'ours', it))),
    ...goalCells(rounds, metric),
    ...(hasBefore
      ? [
          shownFigure(rounds, 'before', metric),
          shownRatio(ratio(rounds, metric.id, 'ours', 'before')),
        ]
      : []),
  ]);
}

const shownRatio = (value: number | undefined) => (value === undefined ? '–' : value.toFixed(2));

function goalCells(rounds: Rounds, metric: Metric): string[] {
  if (!metric.goal) return ['', ''];
  const { limit, isMet } = verdict(rounds, metric, metric.goal);
  const ours = figure(rounds, 'ours', metric.id) ?? NaN;
  if (limit === undefined || isMet === undefined) return [metric.goal.text, '–'];
  const asFigure = shown(limit, metric.unit);
  const text = metric.goal.text.includes(asFigure)
    ? metric.goal.text
    : `${metric.goal.text} (${asFigure})`;
  return [text, isMet ? '✔' : `✘ (${(ours / limit).toFixed(2)} × the goal)`];
}

export function goalsInWords(measured: readonly Measured[]): string {
  const verdicts = measured.flatMap(({ scenario, rounds }) =>
    scenario.metrics.flatMap((metric) =>
      metric.goal ? [verdict(rounds, metric, metric.goal)] : [],
    ),
  );
  const met = verdicts.filter(({ isMet }) => isMet).length;
  const unknown = verdicts.filter(({ isMet }) => isMet === undefined).length;
  return `${met} of ${verdicts.length} goals met${unknown ? `, ${unknown} not measured` : ''}`;
}

export function markdown(run: Run): string {
  const { machine, command, measured, isQuick } = run;
  return `# Benchmarks

Written by \`${command}\` on ${machine.startedAt.toISOString().slice(0, 10)}; measure again with the same command.
One scenario alone: \`npm run bench -- ${measured[0]?.scenario.name}\`.

Machine: ${machineInWords(machine)}.
${isQuick ? '\n**A quick run**: one round of each, with few repetitions.\n' : ''}${
    machine.isBusy
      ? '\n**The machine was busy** when this began: other programs had their share.\n'
      : ''
  }
![The durations as bars on a logarithmic scale](results.svg)

${goalsInWords(measured)}. Lower is better, except in rows that end in “a second”.

${table(measured)}
${problemList(measured)}
## How to read it

* **This package**, the **plain pool** (\`bench/plain-pool\`: the same job in plain TypeScript on \`Bun.spawn\`) and the
  **floor** (what the job takes without any pool) ran one after the other in every round, up to ${run.rounds} rounds, each in a
  fresh process with the same few environment variables, the same tenants and an \`onLog\`. They were warmed up first.
* A figure is the median of all observations of all rounds. \`p90\` and \`p99\` are of the same observations; where a round
  gives one figure, the worst round is shown beside the median. \`÷\` is the median of the rounds' ratios.
* A goal is met when the median is. A goal that depends on another figure names the limit that follows from it.
* Loop lag is how late a timer of 1 ms was at most, over the whole measurement. What other processes, tenants included, take
  from the host's cores is in it; “held” is the same without the time in which the thread was ready and others ran.
* Memory is resident memory: the peak during the measurement less what was resident before.

${measured.map(({ scenario }) => `* **${scenario.title}** (\`${scenario.name}\`). ${scenario.note}`).join('\n')}
`;
}

function problemList(measured: readonly Measured[]): string {
  const lines = measured.flatMap(({ scenario, problems }) =>
    [...problems].map(([subject, problem]) => `* \`${scenario.name}\`, ${subject}: ${problem}`),
  );
  return lines.length > 0 ? `\nNot measured:\n\n${lines.join('\n')}\n` : '';
}

/** A line of progress: one subject of a scenario in one round. */
export function progress({ metrics }: Scenario, rounds: Rounds, subject: string): string {
  const cells = metrics.flatMap(({ id, label, unit }) => {
    const middle = median(observations({ last: rounds[subject]?.slice(-1) ?? [] }, 'last', id));
    return middle === undefined ? [] : [`${label} ${shown(middle, unit)}`];
  });
  return cells.join(' · ');
}
