/**
 * The host that runs through the whole soak. After each round its tenants are killed, and it is
 * measured.
 */
import { type EngineName, Host, type HostFigures, type Said } from './hosts.ts';
import { type Figures, figuresOf, shown, untilNone } from './processes.ts';
import { growth, withoutWarmUp } from './report.ts';
import { groupsOf, temporaryOf, tracesOf, untilNothing } from './traces.ts';
import { descendantsOf, type Process } from '../__test__/support/processes/table.ts';
import type { Place } from './host/runtimes.mjs';

export type Run = {
  seed: string;
  engine: EngineName;
  minutes: number;
  starts: number;
  lanes: number;
  verbose: boolean;
  'until-found': boolean;
  startedAt: number;
  place: Place;
  /** The pids of running hosts: any other child of this process was left behind. */
  children: Set<number>;
  /** All hosts, ended ones included. */
  hosts: Host[];
  violation: (text: string) => void;
  isOver: boolean;
};

/** A measurement after a round, without any tenant. */
export type Sample = { starts: number; host: Figures; warden: Figures };
export type Steady = { samples: Sample[]; figures: HostFigures; seconds: number };

const ROUND_STARTS = 5_000;
const ROUND_MS = 6_000;
const PATIENCE_MS = 90_000;
/** How long keepers may take to end: they do so after they have reported their tenants' end. */
const LEAVING_MS = 5_000;
/** How much more there may be after dispose: the engine's own threads and descriptors vary. */
const MAX_LEFT = { descriptors: 8, threads: 6 };

export async function steadyHost(run: Run): Promise<Steady> {
  const { seed, engine, lanes, place } = run;
  const host = new Host(
    engine,
    {
      seed,
      place,
      lanes,
      rough: '',
      roundMs: ROUND_MS,
      roundStarts: ROUND_STARTS,
      ending: 'dispose',
    },
    run.violation,
  );
  run.children.add(host.pid);
  run.hosts.push(host);
  const from = performance.now();
  const samples: Sample[] = [];
  const isOver = () =>
    host.figures.starts >= run.starts || performance.now() - run.startedAt >= run.minutes * 60_000;
  const atFirst = await host.hears('ready', PATIENCE_MS);
  while (!isOver()) {
    const quiet = host.hears('quiet', PATIENCE_MS);
    host.say('go');
    if ((await quiet) === undefined) {
      run.violation(
        `the host ${host.hasEnded ? 'ended' : 'is stuck'} in the middle of it: ${host.errors}`,
      );
      host.kill('SIGKILL');
      break;
    }
    const sample = await measure(host, run);
    if (sample) samples.push(sample);
    // Other runs report growth once, at their end.
    if (run['until-found'])
      growth(withoutWarmUp(samples), host.figures.starts).forEach(run.violation);
    const { starts } = host.figures;
    const seconds = (performance.now() - from) / 1000;
    console.log(`  ${starts} starts, ${Math.round(starts / seconds)}/s; ${memory(samples.at(-1))}`);
  }
  if (samples.length === 0) run.violation('the host and its warden were not measured');
  const seconds = (performance.now() - from) / 1000;
  await end(host, run, atFirst);
  return { samples, figures: host.figures, seconds };
}

const memory = (sample?: Sample) =>
  sample ? `host ${sample.host.rssKb >> 10} MB, warden ${sample.warden.rssKb} KB` : 'not measured';

/** Keepers that wait for a launch, each with a process inside its groups (`spares.rs`). */
const MAX_SPARES = 4;

/** The keeper of a spare, or the spare. */
function isSpare({ pid, parent, name, state }: Process, table: Process[]): boolean {
  if (state === 'Z') return false;
  const isParked = (one: Process) => one.name === 'abs-parked';
  if (name === 'abs-keeper') return table.some((one) => one.parent === pid && isParked(one));
  return name === 'abs-parked' && table.some((one) => one.pid === parent);
}

/**
 * Measures the host and its warden. The warden must be the host's only descendant, but for a few
 * spares, and there may be no more groups than spares.
 */
async function measure(host: Host, run: Run): Promise<Sample | undefined> {
  const isWarden = ({ name, parent, state }: Process) =>
    name === 'abs-warden' && parent === host.pid && state !== 'Z';
  const others = () => {
    const table = descendantsOf(host.pid);
    const spares = table.filter((one) => isSpare(one, table));
    const rest = table.filter((one) => !isWarden(one) && !spares.includes(one));
    return spares.length > 2 * MAX_SPARES ? [...rest, ...spares] : rest;
  };
  const { left } = await untilNone(others, LEAVING_MS);
  if (left.length > 0) run.violation(`below the host, when it has no tenant: ${shown(left)}`);
  const tooMany = () => groupsOf(host.pid).filter((groups) => groups.length > MAX_SPARES);
  const held = await untilNothing(
    () => [...temporaryOf(host.pid), ...tooMany().flat()].join(', '),
    LEAVING_MS,
  );
  if (held) run.violation(`held by the host, when it has no tenant: ${held}`);
  const wardens = descendantsOf(host.pid).filter(isWarden);
  if (wardens.length > 1)
    run.violation(`the host has ${wardens.length} wardens: ${shown(wardens)}`);
  const of = figuresOf(host.pid);
  const warden = figuresOf(wardens[0]?.pid ?? 0);
  return of && warden && { starts: host.figures.starts, host: of, warden };
}

async function end(host: Host, run: Run, atFirst: Said | undefined): Promise<void> {
  const disposed = host.hears('disposed', PATIENCE_MS);
  host.say('end');
  const inTheEnd = await disposed;
  if (inTheEnd === undefined) run.violation(`the host does not dispose: ${host.errors}`);
  for (const [name, allowed] of Object.entries(MAX_LEFT)) {
    const more = (inTheEnd?.own?.[name] ?? 0) - (atFirst?.own?.[name] ?? 0);
    if (more > allowed)
      run.violation(`dispose leaves ${more} ${name} more than there were before the first start`);
  }
  // A disposed host has nothing left to do, and must end by itself.
  await Promise.race([host.ended, Bun.sleep(LEAVING_MS)]);
  if (!host.hasEnded) {
    const left = descendantsOf(host.pid);
    run.violation(`the host does not end after dispose; below it: ${shown(left) || 'nothing'}`);
    host.kill('SIGKILL');
  }
  const { code, signal } = await host.ended;
  if (code !== 0 && signal !== 'SIGKILL')
    run.violation(`the host ended with ${code ?? signal}: ${host.errors}`);
  run.children.delete(host.pid);
  const traces = await untilNothing(() => tracesOf(host.pid), LEAVING_MS);
  if (traces) run.violation(`left of the host after dispose: ${traces}`);
}

/** A host that lives long enough to remove what hosts before it have left, and is disposed. */
export async function calmHost(run: Run): Promise<void> {
  const seed = `${run.seed}/calm`;
  const host = new Host(
    run.engine,
    {
      seed,
      place: run.place,
      lanes: 4,
      rough: '',
      roundMs: 500,
      roundStarts: ROUND_STARTS,
      ending: 'dispose',
    },
    run.violation,
  );
  run.children.add(host.pid);
  run.hosts.push(host);
  const atFirst = await host.hears('ready', PATIENCE_MS);
  const quiet = host.hears('quiet', PATIENCE_MS);
  host.say('go');
  await quiet;
  await end(host, run, atFirst);
}
