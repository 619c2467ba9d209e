// The operations on tenants. To add one, add an entry: how often it is chosen, and what it does.
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from './ask.mjs';
import { keeperOf, wardenOf } from './proc.mjs';
import { startOutside, variablesOf } from './runtimes.mjs';

/**
 * One tenant of one runtime, and what an operation needs.
 *
 * @typedef {object} Target
 * @property {string} name of the runtime
 * @property {string} key
 * @property {string} tenant `name/key`
 * @property {import('./kinds.mjs').Kind} kind
 * @property {import('@absolutejs/runtime').Runtime} runtime
 * @property {import('./model.mjs').Model} model
 * @property {import('./calls.mjs').Calls} calls
 * @property {import('./rng.mjs').Rng} rng
 * @property {import('./runtimes.mjs').Place} place
 * @property {(text: string) => void} violation
 *
 * @typedef {object} Operation
 * @property {string} name
 * @property {number} weight
 * @property {'keepers' | 'wardens' | 'any'} [rough] only in hosts whose helpers of this kind are
 * killed
 * @property {(target: Target) => boolean} [fits]
 * @property {(target: Target) => Promise<unknown>} run
 */

/** The longest time from a tenant's end until its `exit`, on a busy machine. */
const GONE_MS = 3_000;

/** @param {Target} target @param {AbortSignal} [signal] @param {readonly string[]} [also] */
async function ensure(target, signal, also) {
  const { calls, runtime, key, kind, tenant, model, violation } = target;
  model.willBeTouched(key);
  const call = runtime.ensure(key, signal ? { signal } : undefined);
  const found = await calls.track('ensure', kind, tenant, call, also);
  // The events come before the promise settles, so the model has the same process now.
  const run = model.runs.get(key);
  if (found && run && run.pid === found.pid && run.state !== 'ready') {
    violation(`ensure of ${tenant} resolved before its ready`);
  }
  return found;
}

/**
 * Kills a tenant, and checks that its `exit` has come before `kill` resolves.
 * @param {Target} target
 */
async function kill({ calls, runtime, key, kind, tenant, model, violation }) {
  const pid = model.runs.get(key)?.pid;
  calls.mayCancel(tenant);
  const call = runtime.kill(key).then(() => {
    if (pid !== undefined && model.runs.get(key)?.pid === pid)
      violation(`kill of ${tenant} resolved before its exit`);
  });
  await calls.track('kill', kind, tenant, call);
  calls.mayCancel(tenant);
}

/**
 * Requests a tenant's name. The tenant may be stopped meanwhile; but no other tenant may answer in
 * its place, and while it runs it must answer.
 *
 * @param {Target} target
 */
async function visit(target, path = '/') {
  const found = await ensure(target);
  if (!found || found.port === 0) return found;
  const { key, tenant, kind, model, violation, calls } = target;
  const isThere = () => model.runs.get(key)?.pid === found.pid;
  const { body, error } = await answerOf(found.port, path);
  if (body !== undefined) {
    const [of, pid] = body.split(' ');
    const isRight = of === key && (kind.files || kind.name === 'own' || Number(pid) === found.pid);
    if (!isRight && isThere())
      violation(`${tenant} (${found.pid}) on port ${found.port} answered as ${body}`);
    return found;
  }
  if (path !== '/' || calls.isRough || !isThere()) return found;
  // If it has ended, its `exit` comes within this time.
  await delay(GONE_MS);
  if (!isThere()) return found;
  const again = await answerOf(found.port, path);
  if (/** @type {{ code?: string }} */ (error).code === 'ECONNREFUSED' && isThere()) {
    violation(`${tenant} (${found.pid}) was said to be ready, and refused a connection`);
  }
  if (again.body === undefined && isThere()) {
    violation(
      `${tenant} (${found.pid}) is ready and does not answer: ${error}, then ${again.error}`,
    );
  }
  return found;
}

/**
 * @param {number} port
 * @param {string} path
 * @returns {Promise<{ body?: string; error?: unknown }>}
 */
const answerOf = (port, path) =>
  ask(port, path).then(
    (body) => ({ body }),
    (error) => ({ error }),
  );

/** Ends a tenant from within. @param {Target} target @param {string} path */
async function end(target, path) {
  target.calls.mayCancel(target.tenant);
  await visit(target, path);
  target.calls.mayCancel(target.tenant);
}

/** @param {Target} target @param {number | undefined} pid @param {NodeJS.Signals} [name] */
function signal(target, pid, name = 'SIGKILL') {
  target.calls.mayCancel(target.tenant);
  try {
    if (pid) process.kill(pid, name);
  } catch {
    // It ended before.
  }
}

/**
 * Has a tenant take more memory than it may. Its exit must say so: see the model.
 * @param {Target} target
 */
async function eat(target) {
  const { calls, tenant, runtime, key, model, violation } = target;
  const found = await ensure(target);
  const run = model.runs.get(key);
  const by = runtime.inspect(key)?.limits.memoryBytes?.by ?? 'none';
  if (!found || run?.pid !== found.pid || by === 'none') return;
  run.isEating = true;
  calls.mayCancel(tenant);
  await answerOf(found.port, '/eat');
  const deadline = performance.now() + GONE_MS;
  const isThere = () => model.runs.get(key)?.pid === found.pid;
  while (isThere() && performance.now() < deadline) await delay(5);
  if (isThere() && !calls.isRough) violation(`${tenant} (${found.pid}) took memory without end`);
  calls.mayCancel(tenant);
}

/** Whether a tenant may be ended otherwise than through its runtime. @param {Target} target */
const mayEnd = ({ kind }) => kind.operations === undefined;
/** @param {string} name */
const isFor =
  (name) =>
  (/** @type {Target} */ { kind }) =>
    kind.operations?.includes(name) ?? false;

const isStarted = (/** @type {{ name: string }} */ { name }) => name !== 'adopting';
const isOurs = (/** @type {Target} */ { name }) => name !== 'adopting' && name !== 'own';
const speaks = (/** @type {Target} */ { kind, name }) =>
  isStarted({ name }) && kind.fails === undefined;

/** @type {readonly Operation[]} */
export const operations = [
  {
    name: 'cycle',
    weight: 50,
    fits: isStarted,
    async run(target) {
      await ensure(target);
      await kill(target);
    },
  },
  { name: 'ensure', weight: 14, fits: isStarted, run: (target) => ensure(target) },
  { name: 'visit', weight: 12, fits: speaks, run: (target) => visit(target) },
  {
    name: 'touch',
    weight: 5,
    async run({ runtime, key, model }) {
      model.willBeTouched(key);
      runtime.touch(key);
    },
  },
  { name: 'kill', weight: 10, run: kill },
  {
    name: 'restart',
    weight: 12,
    fits: isStarted,
    async run({ calls, runtime, key, kind, tenant }) {
      calls.mayCancel(tenant);
      await calls.track('restart', kind, tenant, runtime.restart(key));
      calls.mayCancel(tenant);
    },
  },
  {
    name: 'abort',
    weight: 6,
    fits: isStarted,
    async run(target) {
      const caller = new AbortController();
      const waiting = ensure(target, caller.signal, ['ERR_RUNTIME_ABORTED']);
      await delay(target.rng.below(6));
      target.calls.mayCancel(target.tenant);
      caller.abort();
      await waiting;
      target.calls.mayCancel(target.tenant);
    },
  },
  {
    name: 'crash',
    weight: 3,
    fits: (target) => speaks(target) && mayEnd(target),
    run: (target) => end(target, `/exit?${1 + target.rng.below(100)}`),
  },
  {
    name: 'abort itself',
    weight: 1,
    fits: (target) => speaks(target) && mayEnd(target),
    run: (target) => end(target, '/abort'),
  },
  {
    name: 'bye',
    weight: 3,
    fits: (target) => speaks(target) && !target.kind.files && mayEnd(target),
    run: (target) => end(target, '/bye'),
  },
  {
    name: 'flood',
    weight: 1,
    fits: (target) => speaks(target) && !target.kind.files,
    run: (target) => visit(target, `/flood?${1 + target.rng.below(3_000)}`),
  },
  {
    name: 'flood of empty lines',
    weight: 0.5,
    fits: (target) => speaks(target) && !target.kind.files,
    run: (target) => visit(target, `/blank?${1 + target.rng.below(5_000)}`),
  },
  {
    name: 'stop and kill',
    weight: 1,
    fits: isOurs,
    async run(target) {
      const found = await ensure(target);
      const run = target.model.runs.get(target.key);
      if (found && run?.pid === found.pid && keeperOf(found.pid))
        signal(target, found.pid, 'SIGSTOP');
      await kill(target);
    },
  },
  {
    name: 'kill from outside',
    weight: 2,
    fits: (target) => isOurs(target) && mayEnd(target),
    async run(target) {
      const found = await ensure(target);
      const run = target.model.runs.get(target.key);
      // Only while the model has this process and its keeper: afterwards another process may have
      // the pid.
      if (found && run?.pid === found.pid && keeperOf(found.pid)) signal(target, found.pid);
    },
  },
  { name: 'eat', weight: 60, fits: isFor('eat'), run: eat },
  {
    name: 'fork',
    weight: 40,
    fits: isFor('fork'),
    run: (target) => visit(target, '/fork?200'),
  },
  {
    name: 'fill',
    weight: 40,
    fits: isFor('fill'),
    run: (target) => visit(target, `/fill?${target.rng.below(500)}`),
  },
  {
    name: 'adopt',
    weight: 20,
    fits: ({ name }) => name === 'adopting',
    async run({ runtime, key, kind, tenant, calls, place, rng }) {
      // The process has no port. Adopted with one that is hardly ever in use: the pool does not
      // check.
      const port = 20_000 + rng.below(10_000);
      const env = { ...variablesOf(place, key), PORT: '0' };
      const outside = await startOutside(place, key, env);
      const adopted = runtime.adopt(key, rng.below(2) ? outside : { pid: outside.pid }, { port });
      const also = ['ERR_RUNTIME_ALREADY_REGISTERED', 'ERR_RUNTIME_EXITED_EARLY'];
      const taken = await calls.track('adopt', kind, tenant, adopted, also);
      if (!taken) outside.kill('SIGKILL');
    },
  },
  { name: 'clear back-off', weight: 4, run: async ({ runtime, key }) => runtime.clearBackoff(key) },
  {
    name: 'look',
    weight: 3,
    async run({ runtime, model, key, violation, name }) {
      const { running, total } = runtime.stats();
      if (running > total) violation(`${name}: ${running} running of ${total}`);
      runtime.inspect(key);
      runtime.list();
      const { totalSpawns } = runtime.metrics();
      if (totalSpawns !== model.counts.spawns) {
        violation(
          `${name}: metrics() counts ${totalSpawns} spawns, and ${model.counts.spawns} were told`,
        );
      }
    },
  },
  {
    name: 'kill its keeper',
    weight: 1,
    rough: 'keepers',
    fits: isOurs,
    async run(target) {
      const found = await ensure(target);
      if (found) signal(target, keeperOf(found.pid));
    },
  },
  {
    name: 'stop its keeper',
    weight: 1,
    rough: 'keepers',
    fits: isOurs,
    async run(target) {
      const found = await ensure(target);
      if (found) signal(target, keeperOf(found.pid), 'SIGSTOP');
      await kill(target);
    },
  },
  {
    name: 'kill the warden',
    weight: 0.3,
    rough: 'wardens',
    run: async (target) => signal(target, wardenOf()),
  },
  {
    name: 'stop the warden',
    weight: 0.3,
    rough: 'wardens',
    run: async (target) => signal(target, wardenOf(), 'SIGSTOP'),
  },
  {
    name: 'block the host',
    weight: 0.5,
    rough: 'any',
    async run({ rng }) {
      const until = performance.now() + rng.below(300);
      while (performance.now() < until);
    },
  },
];
