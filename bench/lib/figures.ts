// Figures from samples: percentiles over all observations, ratios over rounds, and both as text.
import type { Goal, Metric, Sample, Unit } from './scenario.ts';

/** Every round's sample of every subject; undefined where a round was skipped or failed. */
export type Rounds = Record<string, readonly (Sample | undefined)[]>;

const MARKED_SIGNIFICANT_DIGITS = 3;
const FEW_OBSERVATIONS = 10;
const NS_PER_UNIT: Partial<Record<Unit, number>> = { ns: 1, µs: 1e3, ms: 1e6 };

export function percentile(values: readonly number[], fraction: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const position = fraction * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]];
  if (low === undefined || high === undefined) return undefined;
  return low + (high - low) * (position - Math.floor(position));
}

export const median = (values: readonly number[]) => percentile(values, 0.5);

/** All observations of all rounds. */
export function observations(rounds: Rounds, subject: string, metric: string): number[] {
  return (rounds[subject] ?? [])
    .flatMap((sample) => sample?.[metric] ?? [])
    .filter(Number.isFinite);
}

/** The figure that is compared with goals: the median over all rounds. */
export function figure(rounds: Rounds, subject: string, metric: string): number | undefined {
  return median(observations(rounds, subject, metric));
}

/** The median over rounds of one subject's median of the round over another's. */
export function ratio(
  rounds: Rounds,
  metric: string,
  subject: string,
  to: string,
): number | undefined {
  const ratios = (rounds[subject] ?? []).flatMap((sample, round) => {
    const ours = medianOf(sample?.[metric]);
    const theirs = medianOf(rounds[to]?.[round]?.[metric]);
    return ours === undefined || !theirs ? [] : [ours / theirs];
  });
  return median(ratios);
}

function medianOf(value: number | readonly number[] | undefined): number | undefined {
  return value === undefined ? undefined : median([value].flat());
}

export interface Verdict {
  limit: number | undefined;
  isMet: boolean | undefined;
}

export function verdict(rounds: Rounds, metric: Metric, goal: Goal): Verdict {
  const limit = goal.limit((subject, id = metric.id) => figure(rounds, subject, id));
  const ours = figure(rounds, 'ours', metric.id);
  return { limit, isMet: limit === undefined || ours === undefined ? undefined : ours <= limit };
}

/** `12.3 ms (p90 14, p99 19)`; with few observations, the median and the worst. */
export function shownFigure(rounds: Rounds, subject: string, { id, unit }: Metric): string {
  const all = observations(rounds, subject, id);
  const middle = median(all);
  if (middle === undefined) return '–';
  const p = (fraction: number) => digits(percentile(all, fraction) ?? NaN);
  if (all.length > FEW_OBSERVATIONS)
    return `${shown(middle, unit)} (p90 ${p(0.9)}, p99 ${p(0.99)})`;
  return all.length > 1 ? `${shown(middle, unit)} (worst ${p(1)})` : shown(middle, unit);
}

export function shown(value: number, unit: Unit): string {
  return `${digits(value)} ${unit}`.trim();
}

/** The value with three significant digits at most. */
function digits(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const whole = Math.floor(Math.log10(Math.abs(value))) + 1;
  const decimals = Math.max(
    0,
    Math.min(MARKED_SIGNIFICANT_DIGITS, MARKED_SIGNIFICANT_DIGITS - whole),
  );
  return value.toLocaleString('en', { maximumFractionDigits: decimals });
}

/** The duration in nanoseconds; undefined for other units. */
export function nanoseconds(value: number | undefined, unit: Unit): number | undefined {
  const factor = NS_PER_UNIT[unit];
  return value === undefined || factor === undefined ? undefined : value * factor;
}
