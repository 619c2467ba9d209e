// A host of the soak, in Bun or in Node: concurrent callers do random operations on random
// tenants, in rounds. Findings are printed at once, as lines of JSON, since the host may be killed
// at any moment.
//
// Argument: a JSON object, `Assignment`. Lines on stdin: `go` begins the next round, `end` is the
// last.
import { createRuntime } from '@absolutejs/runtime';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Calls } from './calls.mjs';
import { kindOf, keysOf, kinds } from './kinds.mjs';
import { Model } from './model.mjs';
import { operations } from './operations.mjs';
import { Rng } from './rng.mjs';
import { common, runtimes } from './runtimes.mjs';

/**
 * @typedef {object} Assignment
 * @property {string} seed
 * @property {import('./runtimes.mjs').Place} place
 * @property {'' | 'keepers' | 'wardens' | 'both'} rough which helpers of the host are killed and
 * stopped
 * @property {number} lanes callers at once
 * @property {number} roundMs a round ends after this time, or
 * @property {number} roundStarts after this many starts
 * @property {'dispose' | 'drain' | 'exit' | 'throw' | 'wait'} ending how the host ends
 */

const SETTLED_MS = 30_000;
const FIGURES_EVERY_MS = 500;

/** @type {Assignment} */
const assignment = JSON.parse(process.argv[2] ?? '');
const { seed, place, rough } = assignment;

/** @param {string} word @param {object} [more] */
const say = (word, more) => void process.stdout.write(`${JSON.stringify({ word, ...more })}\n`);
const violation = (/** @type {string} */ text) => say('violation', { text, starts: starts() });
const own = () => ({
  descriptors: readdirSync('/proc/self/fd').length,
  threads: readdirSync('/proc/self/task').length,
});

const calls = new Calls(violation, rough !== '');
/** @type {Map<string, { model: Model; runtime: import('@absolutejs/runtime').Runtime }>} */
const open = new Map();
for (const [name, options] of Object.entries(runtimes)) {
  const model = new Model(name, violation, kindOf, rough !== '');
  const runtime = createRuntime({ ...common(place), ...options(place), ...model.callbacks });
  // Evictions are checked in this runtime only: it is full, and connections do not count as
  // activity.
  if (name === 'crowded') model.list = runtime.list;
  open.set(name, { model, runtime });
}

const models = () => [...open.values()].map(({ model }) => model);
const starts = () => models().reduce((sum, { counts }) => sum + counts.spawns, 0);
const live = () => models().reduce((sum, { runs }) => sum + runs.size, 0);

function figures() {
  /** @type {Record<string, number>} */
  const reasons = {};
  /** @type {Record<string, number>} */
  const counts = {};
  for (const model of models()) {
    for (const [reason, count] of Object.entries(model.reasons))
      reasons[reason] = (reasons[reason] ?? 0) + count;
    for (const [name, count] of Object.entries(model.counts))
      counts[name] = (counts[name] ?? 0) + count;
  }
  return {
    starts: starts(),
    live: live(),
    counts,
    reasons,
    outcomes: calls.outcomes,
    slowest: calls.slowest,
  };
}

/**
 * One caller: does one operation after another, chosen by its own random numbers.
 * @param {Rng} rng
 * @param {() => boolean} isOver
 */
async function lane(rng, isOver) {
  while (!isOver()) {
    const kind = rng.weighted(kinds);
    const name = rng.pick(kind.homes);
    const { model, runtime } =
      /** @type {{ model: Model; runtime: import('@absolutejs/runtime').Runtime }} */ (
        open.get(name)
      );
    const key = rng.pick(keysOf(kind));
    const target = {
      name,
      key,
      tenant: `${name}/${key}`,
      kind,
      runtime,
      model,
      calls,
      rng,
      place,
      violation,
    };
    const fitting = operations.filter((one) => isAllowed(one) && (one.fits?.(target) ?? true));
    const operation = rng.weighted(fitting);
    calls.note(`: ${operation.name}`);
    if (operation.rough) say('did', { text: `${operation.name} (${target.tenant})` });
    await operation.run(target);
  }
}

/** @param {import('./operations.mjs').Operation} operation */
function isAllowed({ rough: which }) {
  if (which === undefined || rough === '') return which === undefined;
  return which === 'any' || rough === 'both' || rough === which;
}

async function round(/** @type {number} */ index) {
  const startsBefore = starts();
  const ends = performance.now() + assignment.roundMs;
  const isOver = () =>
    performance.now() > ends || starts() - startsBefore >= assignment.roundStarts;
  const lanes = Array.from({ length: assignment.lanes }, (_, number) => {
    const rng = new Rng(`${seed}/${index}/${number}`);
    return lane(rng, isOver);
  });
  await Promise.all(lanes);
}

/**
 * Kills all tenants, so that the measurement that follows shows only what the runtimes themselves
 * hold.
 */
async function quiet() {
  for (const { runtime } of open.values()) {
    await Promise.all(runtime.list().map(({ key }) => runtime.kill(key)));
  }
  const deadline = performance.now() + SETTLED_MS;
  while ((calls.pending > 0 || live() > 0) && performance.now() < deadline) await delay(10);
  calls.reportOverdue(0);
  for (const [name, { model, runtime }] of open) {
    for (const [key, { pid }] of model.runs)
      violation(`${name}/${key} (${pid}) was killed and has had no exit`);
    model.runs.clear();
    const { total, running } = runtime.stats();
    if (total + running > 0) violation(`${name}: ${total} tenants are left after all were killed`);
  }
  collectGarbage();
  await delay(50);
  collectGarbage();
}

function collectGarbage() {
  if (globalThis.Bun) Bun.gc(true);
  else globalThis.gc?.();
}

/**
 * Disposes all runtimes while calls are pending; all of these must settle.
 * @param {boolean} drained
 */
async function dispose(drained) {
  const late = ['ERR_RUNTIME_DISPOSED', 'ERR_RUNTIME_DRAINING', 'ERR_RUNTIME_EXITED_EARLY'];
  const waiting = [...open].flatMap(([name, { runtime }]) => {
    const kind =
      kinds.find(({ homes, fails }) => homes.includes(name) && !fails) ?? kindOf('hello-0');
    return keysOf(kind).map((key) =>
      calls.track('last ensure', kind, `${name}/${key}`, runtime.ensure(key), late),
    );
  });
  for (const { runtime } of open.values()) {
    if (drained) runtime.drain();
    calls.track('dispose', kindOf('hello-0'), 'all', runtime.dispose());
  }
  // The timer is stopped afterwards: it must not be what keeps a disposed host alive.
  const patience = new AbortController();
  const tooLate = delay(SETTLED_MS, undefined, { signal: patience.signal }).catch(() => {});
  const disposed = [...open.values()].map(({ runtime }) => runtime.dispose());
  await Promise.race([Promise.all([...waiting, ...disposed]), tooLate]);
  patience.abort();
  calls.reportOverdue(0);
  if (live() > 0) violation(`${live()} tenants have had no exit after dispose`);
  models().forEach((model) => model.checkEvictions());
}

setInterval(() => {
  say('figures', figures());
  calls.reportOverdue();
}, FIGURES_EVERY_MS).unref();

const words = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
say('ready', { own: own() });
for (let index = 0; ; index++) {
  const { value: word, done } = await words.next();
  if (done || word === 'end') break;
  await round(index);
  if (rough) break;
  await quiet();
  say('quiet', figures());
}
switch (assignment.ending) {
  case 'exit':
    process.exit(0);
  case 'throw':
    throw new Error('the host ends like this on purpose');
  case 'wait':
    // Goes on until the host is killed.
    for (let index = 1_000; ; index++) await round(index);
  default:
    await dispose(assignment.ending === 'drain');
}
say('disposed', { ...figures(), own: own() });
process.stdin.destroy();
