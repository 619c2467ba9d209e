/** The host that lives through the whole soak: after each round all its tenants are ended, and it is measured. */
import { type EngineName, Host, type HostFigures, type Said } from './hosts.ts';
import { below, type Figures, figuresOf, type Process, shown, untilNone } from './processes.ts';
import { growth, withoutWarmUp } from './report.ts';
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
  /** The hosts that live now: everything else below this process was left behind. */
  children: Set<number>;
  /** All of them, the ended ones included. */
  hosts: Host[];
  violation: (text: string) => void;
  isOver: boolean;
};

/** After a round, with no tenant left. */
export type Sample = { starts: number; host: Figures; warden: Figures };
export type Steady = { samples: Sample[]; figures: HostFigures; seconds: number };

const ROUND_STARTS = 5_000;
const ROUND_MS = 6_000;
const PATIENCE_MS = 90_000;
/** Keepers, which go after they have said that their tenants have. */
const LEAVING_MS = 5_000;
/** Of the engine itself, after dispose: its own threads and descriptors come and go. */
const MOST_LEFT = { descriptors: 8, threads: 6 };

export async function steadyHost(run: Run): Promise<Steady> {
  const { seed, engine, lanes, place } = run;
  const host = new Host(
    engine,
    { seed, place, lanes, rough: '', roundMs: ROUND_MS, roundStarts: ROUND_STARTS, ending: 'dispose' },
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
      run.violation(`the host ${host.hasEnded ? 'ended' : 'is stuck'} in the middle of it: ${host.errors}`);
      host.kill('SIGKILL');
      break;
    }
    const sample = await measure(host, run);
    if (sample) samples.push(sample);
    // A run that goes on to its end says this there, once.
    if (run['until-found']) growth(withoutWarmUp(samples), host.figures.starts).forEach(run.violation);
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

/** Nothing but the warden may be below the host now, and nothing but it and the other hosts below us. */
async function measure(host: Host, run: Run): Promise<Sample | undefined> {
  const isWarden = ({ name, parent, state }: Process) =>
    name === 'abs-warden' && parent === host.pid && state !== 'Z';
  const { left } = await untilNone(() => below(host.pid).filter((one) => !isWarden(one)), LEAVING_MS);
  if (left.length > 0) run.violation(`below the host, when it has no tenant: ${shown(left)}`);
  const wardens = below(host.pid).filter(isWarden);
  if (wardens.length > 1) run.violation(`the host has ${wardens.length} wardens: ${shown(wardens)}`);
  const of = figuresOf(host.pid);
  const warden = figuresOf(wardens[0]?.pid ?? 0);
  return of && warden && { starts: host.figures.starts, host: of, warden };
}

async function end(host: Host, run: Run, atFirst: Said | undefined): Promise<void> {
  const disposed = host.hears('disposed', PATIENCE_MS);
  host.say('end');
  const inTheEnd = await disposed;
  if (inTheEnd === undefined) run.violation(`the host does not dispose: ${host.errors}`);
  for (const [name, allowed] of Object.entries(MOST_LEFT)) {
    const more = (inTheEnd?.own?.[name] ?? 0) - (atFirst?.own?.[name] ?? 0);
    if (more > allowed)
      run.violation(`dispose leaves ${more} ${name} more than there were before the first start`);
  }
  // With nothing left to do it ends by itself.
  await Promise.race([host.ended, Bun.sleep(LEAVING_MS)]);
  if (!host.hasEnded) {
    const left = below(host.pid);
    run.violation(`the host does not end after dispose; below it: ${shown(left) || 'nothing'}`);
    host.kill('SIGKILL');
  }
  const { code, signal } = await host.ended;
  if (code !== 0 && signal !== 'SIGKILL')
    run.violation(`the host ended with ${code ?? signal}: ${host.errors}`);
  run.children.delete(host.pid);
}
