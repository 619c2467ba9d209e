/** The report of a soak, and its exit code. */
import type { Rough } from './rough.ts';
import type { Run, Sample, Steady } from './steady.ts';

/** The share of the run that is not measured: caches fill, and heaps grow to their size. */
const WARM_UP = 0.3;
/** With fewer starts the slope is not judged: the heap is still growing to its size. */
const STARTS_FOR_A_SLOPE = 50_000;
/** A host that grows by more than this has a leak, however short the run. */
const MAX_GROWTH_KB = 60_000;
const MAX_SLOPE_KB = { host: 10_000, warden: 500 };
/**
 * How much more than at first there may be. Descriptors: the runtime holds up to 160 ports for
 * next starts.
 */
const MAX_MORE = { descriptors: 170, threads: 3 };

type Value = (sample: Sample) => number;
const FIGURES: [string, Value, unit: string][] = [
  ['host: memory', ({ host }) => host.rssKb, 'KB'],
  ['host: descriptors', ({ host }) => host.descriptors, ''],
  ['host: threads', ({ host }) => host.threads, ''],
  ['warden: memory', ({ warden }) => warden.rssKb, 'KB'],
  ['warden: descriptors', ({ warden }) => warden.descriptors, ''],
];

export type Outcome = { run: Run; steady: Steady; rough: Rough; violations: string[] };

/** Prints the report; returns the exit code. */
export function print({ run, steady, rough, violations }: Outcome): number {
  const { figures, seconds, samples } = steady;
  const { starts, counts, reasons } = figures;
  const line = (name: string, text: string) => console.log(`  ${name.padEnd(26)} ${text}`);
  console.log(`\n━━ soak, seed ${run.seed}, hosts in ${run.engine}`);
  line(
    'starts',
    `${starts + rough.starts}, ${starts} of them in one host, ${Math.round(starts / seconds)}/s there`,
  );
  line('its events', list(counts));
  line('its exits', list(reasons));
  line('its slowest calls', `${list(figures.slowest)} ms`);
  line(
    'other hosts',
    `${list(rough.hosts)}; all of theirs gone after ${Math.round(rough.longestMs)} ms at most`,
  );
  line(
    'let go as documented',
    `${rough.leftRunning} processes: adopted, of the user's own spawn, or left when all their keepers were killed`,
  );
  const measured = withoutWarmUp(samples);
  for (const [name, value, unit] of FIGURES) {
    if (measured.length < 2) break;
    const [first, last] = [measured.at(0)!, measured.at(-1)!].map(value) as [number, number];
    const slope = `${Math.round(slopeOf(measured, value))} ${unit}`.trim();
    line(name, `${first} → ${last} ${unit}`.trim().padEnd(24) + `  ${slope} per 100,000 starts`);
  }
  line(
    'failures, by code',
    'all of them such as the kind of tenant, or what others did to it, explains',
  );
  for (const [code, kinds] of Object.entries(failuresByCode(figures.outcomes)))
    line(`  ${code}`, list(kinds));
  if (run.verbose) {
    line('what was done', list(figures.outcomes));
    line('in the other hosts', list(rough.outcomes));
  }
  growth(measured, starts).forEach(run.violation);
  const found = [...violations];
  for (const [text, count] of byKind(found))
    console.log(`✘ ${count > 1 ? `${count} times, first: ` : ''}${text}`);
  const hosts = 1 + Object.values(rough.hosts).reduce((sum, count) => sum + count, 0);
  // A violation names the seed of its host; those that are found at the end are the measured
  // host's.
  const failed = new Set(found.map((text) => /^[^ ]+\/rough\/\d+/.exec(text)?.[0] ?? 'steady'))
    .size;
  console.log(found.length === 0 ? '✔ all was well' : `✘ ${found.length} things were not well`);
  console.log(`soak: ${Math.max(0, hosts - failed)} hosts passed, ${failed} failed`);
  return found.length === 0 ? 0 : 1;
}

export function withoutWarmUp(samples: readonly Sample[]): Sample[] {
  return samples.slice(Math.floor(samples.length * WARM_UP));
}

/** The figures that have grown too much, as text. */
export function growth(samples: readonly Sample[], starts: number): string[] {
  if (samples.length < 3) return [];
  const found: string[] = [];
  const [first, last] = [samples.at(0)!, samples.at(-1)!];
  for (const name of ['descriptors', 'threads'] as const) {
    const more = last.host[name] - first.host[name];
    if (more > MAX_MORE[name])
      found.push(`the host has ${more} ${name} more than at first, without any tenant`);
  }
  const moreOfWarden = last.warden.descriptors - first.warden.descriptors;
  if (moreOfWarden > 0) found.push(`the warden has ${moreOfWarden} descriptors more than at first`);
  for (const name of ['host', 'warden'] as const) {
    const kb: Value = (sample) => sample[name].rssKb;
    const [grown, slope] = [kb(last) - kb(first), slopeOf(samples, kb)];
    const isSlope = starts >= STARTS_FOR_A_SLOPE && slope > MAX_SLOPE_KB[name];
    if (isSlope || grown > MAX_GROWTH_KB) {
      found.push(
        `the ${name} has grown by ${grown} KB: ${Math.round(slope)} KB per 100,000 starts`,
      );
    }
  }
  return found;
}

/** The growth per 100,000 starts, by linear regression. */
function slopeOf(samples: readonly Sample[], value: Value): number {
  const mean = (values: number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;
  const [x, y] = [mean(samples.map(({ starts }) => starts)), mean(samples.map(value))];
  const covariance = mean(samples.map((sample) => (sample.starts - x) * (value(sample) - y)));
  const variance = mean(samples.map(({ starts }) => (starts - x) ** 2));
  return variance === 0 ? 0 : (covariance / variance) * 100_000;
}

/**
 * Groups violations that differ only in numbers: the first of each group, and how many there are.
 */
function byKind(violations: readonly string[]): [first: string, count: number][] {
  const kinds = new Map<string, [string, number]>();
  for (const text of violations) {
    const kind = text.replace(/^[^ ]+: /, '').replaceAll(/\d+/g, 'N');
    const [first, count] = kinds.get(kind) ?? [text, 0];
    kinds.set(kind, [first, count + 1]);
  }
  return [...kinds.values()];
}

/**
 * Counts failures by code and kind. A failed outcome is `operation kind code`; others begin with
 * `:`.
 */
function failuresByCode(outcomes: Record<string, number>): Record<string, Record<string, number>> {
  const byCode: Record<string, Record<string, number>> = {};
  for (const [outcome, count] of Object.entries(outcomes)) {
    const [, kind, code] = / ([^ ]+) ([^ ]+)$/.exec(outcome.startsWith(':') ? '' : outcome) ?? [];
    if (kind === undefined || code === undefined) continue;
    const kinds = (byCode[code.replace('ERR_RUNTIME_', '')] ??= {});
    kinds[kind] = (kinds[kind] ?? 0) + count;
  }
  return byCode;
}

const list = (counts: Record<string, number>) =>
  Object.entries(counts)
    .map(([name, count]) => `${name.replace(/^: /, '')} ${count}`)
    .join(', ');
