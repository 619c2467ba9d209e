// The type of a scenario: its subjects, its metrics, and their goals.
import type { Runtime, RuntimeOptions } from '@absolutejs/runtime';
import { readFileSync } from 'node:fs';

/**
 * The subjects with a column in the table, the package's own last, each with its heading. A scenario
 * may also measure references, by other names.
 */
export type Columns = Readonly<Record<string, string>>;

export const POOLS: Columns = { floor: 'floor', plain: 'plain pool', ours: 'this package' };

export type Unit = 'ns' | 'µs' | 'ms' | '%' | 'MB' | 'B' | '/s' | '×' | '';

/** One round's figures of one subject: one number each, or every single observation. */
export type Sample = Record<string, number | readonly number[]>;

/** The part of the documented surface that every pool under test has. */
export type Pool = Omit<
  Runtime,
  'adopt' | 'detach' | 'inspect' | 'list' | 'metrics' | 'recovered' | 'replace' | 'warm'
>;
export type CreateRuntime = (options: RuntimeOptions) => Pool;

export interface Context {
  /** Fewer repetitions, with the same sizes. */
  isQuick: boolean;
}

export type Measure = (context: Context) => Promise<Sample>;

export interface Goal {
  /** The goal as the table shows it. */
  text: string;
  /** The largest value allowed; undefined when a figure that it depends on was not measured. */
  limit: (figureOf: (subject: string, metric?: string) => number | undefined) => number | undefined;
}

export interface Metric {
  id: string;
  label: string;
  unit: Unit;
  goal?: Goal;
  /** Whether the chart shows it; only durations can be shown. */
  isCharted?: boolean;
}

export interface Scenario {
  name: string;
  title: string;
  /** What is measured, and what the figures mean. */
  note: string;
  metrics: readonly Metric[];
  subjects: Readonly<Record<string, Measure>>;
  /** {@link POOLS} by default. */
  columns?: Columns;
  /** The name by which it can be chosen together with others. */
  group?: string;
  /** The largest number of rounds, for scenarios that are slow or vary little. */
  maxRounds?: number;
  /** Subjects that take minutes: measured in the first round only, and not in a quick run. */
  slow?: readonly string[];
  /** How long one round of one subject may take. */
  timeoutMs?: number;
}

/** Thrown by a measurement that is not possible on this machine. */
export class NotPossible extends Error {}

export const atMost = (value: number, unit: Unit): Goal => ({
  text: `≤ ${value.toLocaleString('en')}${unit === '%' ? ' %' : ` ${unit}`}`,
  limit: () => value,
});

/** The rows of the event loop's lag; see `watchLoop`. */
export function lagMetrics(goal: { lagMs?: number; heldMs?: number } = {}): Metric[] {
  const goalOf = (mostMs: number | undefined) =>
    mostMs !== undefined && { goal: atMost(mostMs, 'ms') };
  return [
    { id: 'lagMs', label: 'host loop lag, max', unit: 'ms', ...goalOf(goal.lagMs) },
    { id: 'heldMs', label: '… held, not waiting for a core', unit: 'ms', ...goalOf(goal.heldMs) },
  ];
}

/** The subjects `plain` and `ours`, with the same measurement. */
export function bothPools(
  measure: (createRuntime: CreateRuntime, context: Context) => Promise<Sample>,
) {
  return {
    plain: async (context: Context) => measure(await loadPool('plain'), context),
    ours: async (context: Context) => measure(await loadPool('ours'), context),
  };
}

export async function loadPool(pool: 'plain' | 'ours'): Promise<CreateRuntime> {
  return (await import(poolModule(pool))).createRuntime;
}

/** The module that a pool is imported from. */
export function poolModule(pool: 'plain' | 'ours'): string {
  if (pool === 'plain') return new URL('bench/plain-pool/index.ts', process.env.BENCH_ROOT).href;
  // Another checkout may have it elsewhere.
  const directory = process.env.BENCH_PACKAGE ?? process.env.BENCH_ROOT;
  const manifest = readFileSync(new URL('package.json', directory), 'utf8');
  return new URL(JSON.parse(manifest).exports['.'].import.default, directory).href;
}
