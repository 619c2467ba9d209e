/**
 * Short-lived hosts whose wardens and keepers are killed and stopped, and that end in every way,
 * one after another. None of their processes may be left, apart from the documented ones.
 */
import { readFileSync } from 'node:fs';
import { Host } from './hosts.ts';
import { Rng } from './host/rng.mjs';
import type { Run } from './steady.ts';
import { killAll, orphans, shown, untilNone } from './processes.ts';
import { tracesOf, untilNothing } from './traces.ts';
import type { Process } from '../__test__/support/processes/table.ts';

/** How a host ends; `sigkill` and `sigterm` come from outside. */
const ENDINGS = ['dispose', 'drain', 'exit', 'throw', 'sigkill', 'sigterm'] as const;
type Ending = (typeof ENDINGS)[number];

export type Rough = {
  hosts: Record<Ending, number>;
  starts: number;
  outcomes: Record<string, number>;
  /** The longest time from a host's end until nothing of it was left. */
  longestMs: number;
  /**
   * Processes that outlived their host as documented: users' own, or left by lost wardens and
   * keepers.
   */
  leftRunning: number;
};

const PATIENCE_MS = 90_000;
/** The promise is one second; the soak keeps the machine fully busy. */
const GONE_MS = 20_000;
const LANES = 6;
/**
 * Which helpers are killed. If a warden and a keeper are lost within moments of each other,
 * processes in sessions of their own may be left, as documented; if the host ends at that moment,
 * too, any process of its tenants may be.
 */
const HELPERS = ['keepers', 'wardens', 'both'] as const;
type Helpers = (typeof HELPERS)[number];

export async function roughHosts(run: Run): Promise<Rough> {
  const hosts = Object.fromEntries(ENDINGS.map((ending) => [ending, 0])) as Record<Ending, number>;
  const told: Rough = { hosts, starts: 0, outcomes: {}, longestMs: 0, leftRunning: 0 };
  for (let index = 0; !run.isOver; index++) {
    const rng = new Rng(`${run.seed}/rough/${index}`);
    const ending = rng.pick(ENDINGS);
    const lifeMs = 500 + rng.below(1_500);
    await roughHost(
      run,
      `${run.seed}/rough/${index}`,
      { ending, lifeMs, helpers: rng.pick(HELPERS) },
      told,
    );
  }
  return told;
}

type RoughPlan = { ending: Ending; lifeMs: number; helpers: Helpers };

async function roughHost(
  run: Run,
  seed: string,
  { ending, lifeMs, helpers }: RoughPlan,
  told: Rough,
): Promise<void> {
  const isKilled = ending === 'sigkill' || ending === 'sigterm';
  const itself = isKilled ? 'wait' : ending;
  const host = new Host(
    run.engine,
    {
      seed,
      place: run.place,
      lanes: LANES,
      rough: helpers,
      roundMs: lifeMs,
      roundStarts: 1_000_000,
      ending: itself,
    },
    run.violation,
  );
  const startedMs = performance.now();
  run.children.add(host.pid);
  run.hosts.push(host);
  await host.hears('ready', PATIENCE_MS);
  host.say('go');
  if (isKilled) {
    await Bun.sleep(lifeMs);
    host.kill(ending === 'sigkill' ? 'SIGKILL' : 'SIGTERM');
  }
  await Promise.race([host.ended, Bun.sleep(PATIENCE_MS)]);
  if (!host.hasEnded) {
    run.violation(`${seed}: the host does not end by ${ending}: ${host.errors}`);
    host.kill('SIGKILL');
  }
  const { code, signal } = await host.ended;
  const endedMs = performance.now() - startedMs;
  const isPlanned = isKilled ? signal !== null : code === (ending === 'throw' ? 1 : 0);
  if (!isPlanned)
    run.violation(`${seed}: ${ending} ended the host with ${code ?? signal}: ${host.errors}`);
  run.children.delete(host.pid);
  const others = () => orphans(run.children).filter((one) => !isUsers(one) || isDisposed(ending));
  const { tookMs, left } = await untilNone(others, GONE_MS);
  const mayStay = (one: Process) =>
    helpers === 'both' && (!isDisposed(ending) || hasOwnSession(one));
  const unexpected = left.filter((one) => !mayStay(one));
  if (unexpected.length > 0) {
    const what = unexpected.map(keyOf).filter((key) => key !== '');
    const before = `${host.lastDone}; it ended at ${Math.round(endedMs)} ms`;
    run.violation(
      `${seed}: left ${GONE_MS} ms after ${ending}: ${shown(unexpected)} of ${what.join(', ')}; before: ${before}`,
    );
  }
  // What the loss of wardens and keepers leaves is removed by the next host: see run.ts.
  const traces = helpers === 'both' ? '' : await untilNothing(() => tracesOf(host.pid), GONE_MS);
  if (traces) run.violation(`${seed}: left after ${ending}: ${traces}; before: ${host.lastDone}`);
  told.hosts[ending]++;
  told.starts += host.figures.starts;
  if (left.length === 0) told.longestMs = Math.max(told.longestMs, tookMs);
  for (const [outcome, count] of Object.entries(host.figures.outcomes)) {
    told.outcomes[outcome] = (told.outcomes[outcome] ?? 0) + count;
  }
  told.leftRunning += killAll(orphans(run.children)).length;
  await untilNone(() => orphans(run.children), GONE_MS);
}

const isDisposed = (ending: Ending) => ending === 'dispose' || ending === 'drain';

/**
 * Whether a user's own `spawn` started it, or it was adopted: such a process outlives its host.
 */
const isUsers = (process: Process) => /^(?:own|adopted)-/.test(keyOf(process));

/** Whether its tenant's kind starts processes in sessions of their own. */
const hasOwnSession = (process: Process) => /^(?:daemons|crowd|bun-family)-/.test(keyOf(process));

/** The tenant that a process belongs to, as its environment says. */
function keyOf({ pid }: Process): string {
  try {
    return (
      /\0SOAK_KEY=([^\0]+)/.exec(`\0${readFileSync(`/proc/${pid}/environ`, 'latin1')}`)?.[1] ?? ''
    );
  } catch {
    return '';
  }
}
