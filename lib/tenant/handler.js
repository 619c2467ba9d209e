/** What becomes of each record that Rust sends up: one function for each of `RECORDS`. */
import { RECORDS } from '../bridge/batch.js';
import { tenantEnvironment, withHostsBun } from './environment.js';
import * as errors from '../errors.js';
import { LogText } from '../bridge/inbox.js';
import { createRun } from './ledger.js';

/** @typedef {import('../bridge/batch.js').Batch} Batch */
/** @typedef {import('./ledger.js').Run} Run */
/** @typedef {import('../runtime.js').Core} Core */

/** Reads the rest of its record and acts on it; log lines are left to the reader of the batch. @typedef {(core: Core, batch: Batch) => LogText | void} Handler */

/** @param {Core} core @param {Batch} batch @returns {LogText | undefined} */
export function handle(core, batch) {
  const take = BY_NUMBER[batch.open()];
  if (take === undefined) throw new Error('the addon and lib/ of @absolutejs/runtime differ; reinstall it');
  return take(core, batch) || undefined;
}

/**
 * The directory that a valid key stands for.
 * @param {string} root as `directoryAt` makes it
 * @param {string} key
 */
const directoryOf = (root, key) => (root === '/' ? `/${key}` : `${root}/${key}`);

/** The process that the record is about. @param {Core} core @param {Batch} batch */
const runOf = ({ runs }, batch) => /** @type {Run} */ (runs.get(batch.number()));

/** @type {Record<string, Handler>} */
const HANDLERS = {
  // Until there is a process.

  prepare(core, batch) {
    batch.starts += 1;
    start(core, begin(core, batch.number(), batch.number(), batch.number(), batch.text()));
  },
  findImage: (core, batch) => core.checkpoints?.find(knownOrNew(core, batch)),
  awaitImage: (core, batch) => core.checkpoints?.wait(knownOrNew(core, batch)),
  restoreImage(core, batch) {
    batch.starts += 1;
    const run = begin(core, batch.number(), batch.number(), batch.number(), batch.text());
    void core.checkpoints?.restore(run, batch.number() === 1);
  },
  dropImage: ({ checkpoints }, batch) => checkpoints?.drop(batch.text()),
  spawn(core, batch) {
    const run = runOf(core, batch);
    run.pid = batch.number();
    run.port = batch.number();
    core.counts.totalSpawns += 1;
    core.tracing?.spawned(run);
    core.onTransition?.(withResource(run, { type: 'spawn', key: run.key, pid: run.pid, port: run.port }));
  },
  askReadiness: (core, batch) => core.external.askReadiness(runOf(core, batch)),
  /** The process that a call of `adopt` handed over is a run. */
  adopted({ runs, adoptions, external }, batch) {
    const [id, call] = [batch.number(), batch.number()];
    const { process, taken, port, host, startedAt } = /** @type {import('../runtime.js').Adoption} */ (
      adoptions.get(call)
    );
    adoptions.delete(call);
    const run = createRun(id, batch.text(), port, startedAt);
    run.pid = taken.pid;
    if (host !== undefined) run.host = host;
    run.process = process;
    run.resourceId = taken.resourceId;
    runs.set(id, run);
    external.reportExit(run, taken.exited);
  },

  // While a tenant is there.

  ready(core, batch) {
    const run = runOf(core, batch);
    const durationMs = batch.number();
    if (batch.number() === 1) run.host = '::1';
    core.tenants.open(run, batch.number(), batch.number());
    core.counts.lastSpawnMs = durationMs;
    core.tracing?.ready(run, durationMs);
    const { key, pid, port } = run;
    core.onMetrics?.(withResource(run, { type: 'spawn', key, pid, port, durationMs }));
    core.onTransition?.(withResource(run, { type: 'ready', key, pid, port, durationMs }));
  },
  adopt(core, batch) {
    const run = runOf(core, batch);
    core.tenants.open(run, batch.number(), batch.number());
    const { key, pid, port } = run;
    core.onTransition?.(withResource(run, { type: 'adopt', key, pid, port }));
  },
  restored(core, batch) {
    const { counts, tracing } = core;
    const run = runOf(core, batch);
    run.pid = batch.number();
    run.port = batch.number();
    const durationMs = batch.number();
    core.tenants.open(run, batch.number(), batch.number());
    counts.checkpoints.restores += 1;
    counts.checkpoints.lastRestoreMs = durationMs;
    tracing?.spawned(run);
    tracing?.ready(run, durationMs);
    const { key, pid, port } = run;
    core.onTransition?.(withResource(run, { type: 'restored', key, pid, port, durationMs }));
  },
  log(core, batch) {
    const { key, pid } = runOf(core, batch);
    const stream = batch.number() === 0 ? /** @type {const} */ ('stdout') : /** @type {const} */ ('stderr');
    const at = batch.number();
    return new LogText(batch.text(), key, pid, stream, at, core.settings.onLog);
  },
  observation(core, batch) {
    const run = runOf(core, batch);
    const { key, pid } = run;
    const [cpuMs, rssBytes, at] = [batch.number(), batch.number(), batch.number()];
    core.onMetrics?.({ type: 'observation', key, pid, cpuMs, rssBytes, at });
  },

  // From the decision to stop a tenant on.

  askIdle: (core, batch) => void core.external.askIdle(runOf(core, batch), batch.number()),
  idleKill(core, batch) {
    const { key, pid } = runOf(core, batch);
    const idleMs = batch.number();
    core.onTransition?.({ type: 'idle-kill', key, pid, reason: 'idle-threshold', idleMs });
  },
  lruEvict(core, batch) {
    const { key, pid } = runOf(core, batch);
    core.onTransition?.({ type: 'lru-evict', key, pid, reason: 'max-concurrent' });
  },
  checkpoint: (core, batch) => core.checkpoints?.save(runOf(core, batch)),
  askKill: (core, batch) => void core.external.askKill(runOf(core, batch), batch.number() === 1),
  exit(core, batch) {
    const { counts } = core;
    const run = runOf(core, batch);
    const { key, pid } = run;
    const exitCode = batch.numberOrNull();
    const signal = batch.signal();
    const reason = batch.exitReason();
    run.isOver = true;
    core.tenants.close(run);
    counts.totalExits[reason] += 1;
    if (reason === 'checkpointed') counts.checkpoints.checkpoints += 1;
    core.tracing?.exited(run, exitCode, reason);
    /** @type {import('../../index.js').RuntimeTransitionEvent & { type: 'exit' }} */
    const event = { type: 'exit', key, pid, exitCode, reason };
    if (signal !== undefined) event.signal = signal;
    core.onTransition?.(withResource(run, event));
  },
  /** Nothing will be heard of it again. */
  release({ runs, tracing }, batch) {
    const id = batch.number();
    const run = runs.get(id);
    runs.delete(id);
    if (run !== undefined) tracing?.over(run);
  },

  // Answers, and what belongs to no run.

  tenant(core, batch) {
    const call = core.calls.close(batch.number());
    const { live } = runOf(core, batch);
    call?.resolve(live?.tenant);
  },
  done: ({ calls }, batch) => calls.close(batch.number())?.resolve(undefined),
  refused(core, batch) {
    const number = batch.number();
    const refusal = batch.refusal();
    if (refusal.kind === 'stillTracked' && core.notStopped.length === 0) {
      // All of it were starts that had not begun and have been called off since: now there is nothing left.
      return core.native.dispose(number);
    }
    const call = core.calls.close(number);
    call?.reject(errorOf(core, call, refusal));
  },
  notStopped(core, batch) {
    const run = core.runs.get(batch.number());
    const failure = batch.failure();
    // One that is not known was called off before it was prepared.
    if (run !== undefined) core.notStopped.push(failureOf(core, run, run.key, failure));
  },
  disposed(core, batch) {
    batch.number();
    core.close();
  },
  sharedRoot: ({ settings }, batch) => warnOfSharedRoot(settings.root, batch.number()),
  answer: ({ tickets }, batch) => tickets.close(batch.number(), batch.number()),
  backoff({ onTransition }, batch) {
    const [attempt, retryAfterMs, key] = [batch.number(), batch.number(), batch.text()];
    onTransition?.({ type: 'backoff', key, attempt, retryAfterMs });
  },
  drain: ({ onTransition }) => onTransition?.({ type: 'drain', reason: 'drain-requested' }),
};

const BY_NUMBER = RECORDS.map((name) => HANDLERS[name]);

/** @param {string} root @param {number} pid whose other runtime has it; 0 where that is unknown */
function warnOfSharedRoot(root, pid) {
  const other =
    pid === process.pid
      ? 'another runtime of this process: dispose the one that is not needed (after a reload of `bun --hot` the one before)'
      : `another runtime, of ${pid === 0 ? 'a process that cannot be seen from here' : `process ${pid}`}`;
  process.emitWarning(
    `the tenants in ${root} are started by ${other}. Neither knows of the other, so a tenant may run twice on the same files`,
    { type: 'RuntimeWarning', code: 'ABS_RUNTIME_SHARED_ROOT' },
  );
}

/**
 * The run, which nothing or little was heard of before.
 * @param {Core} core
 * @param {number} id
 * @param {number} port 0 where it has none yet
 * @param {number} startedAt
 * @param {string} key
 */
function begin({ runs, tracing }, id, port, startedAt, key) {
  const known = runs.get(id);
  if (known !== undefined) {
    known.port = port;
    known.startedAt = startedAt;
    return known;
  }
  const run = createRun(id, key, port, startedAt);
  runs.set(id, run);
  tracing?.begin(run);
  return run;
}

/** The run, which may have no port yet. @param {Core} core @param {Batch} batch */
function knownOrNew(core, batch) {
  const id = batch.number();
  return core.runs.get(id) ?? begin(core, id, 0, Date.now(), batch.text());
}

/** @param {Core} core @param {Run} run */
function start(core, run) {
  const { settings, external } = core;
  try {
    const cwd = directoryOf(settings.root, run.key);
    const env = tenantEnvironment(settings.env, run.key, run.port);
    core.tracing?.hand(run, env);
    if (settings.spawn === undefined) launch(core, run, cwd, env);
    else external.start(run, cwd, env);
  } catch (error) {
    external.failStart(run, error);
  }
}

/** @param {Core} core @param {Run} run @param {string} cwd @param {Record<string, string>} env */
function launch({ settings, native, wake }, run, cwd, env) {
  const command = withHostsBun(settings.command, env, run.key);
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  native.launch(run.id, cwd, command, variables, settings.runsStartScript);
  wake();
}

/** @param {Core} core @param {import('./ledger.js').Call} call @param {import('../bridge/batch.js').Refusal} refusal @returns {unknown} */
function errorOf(core, { key, method }, refusal) {
  const { runs, notStopped } = core;
  switch (refusal.kind) {
    case 'disposed':
      return errors.disposed(key);
    case 'draining':
      return errors.draining(key, method);
    case 'taken':
      return errors.taken(key);
    case 'overloaded':
      return errors.overloaded(key, method, refusal.waiting);
    case 'exhausted':
      return errors.exhausted(key, refusal.maxFailures, refusal.last);
    case 'backingOff':
      return errors.backingOff(key, refusal.attempt, refusal.retryAfterMs, refusal.last);
    case 'startFailed':
      return failureOf(core, runs.get(refusal.run), key, refusal.failure, refusal.output);
    case 'stopRefused':
      return failureOf(core, runs.get(refusal.run), key, refusal.failure);
    case 'stillTracked':
      return errors.stillTracked(notStopped.splice(0));
  }
}

/**
 * The error for a failed start or stop. All who waited for the same thing get the same object.
 * @param {Core} core
 * @param {Run | undefined} run
 * @param {string} key of the caller; a runtime-wide call has none
 * @param {errors.Failure} failure
 * @param {string} [output]
 */
export function failureOf(core, run, key, failure, output) {
  if (run === undefined) return core.failureError(key, failure, {});
  const pending = failure.kind === 'stopTimedOut' ? [...(run.pendingKills ?? [])].join(' and ') : '';
  if (pending !== '') failure.text = `; still pending: its own ${pending}`;
  const name = failure.kind + pending;
  const known = run.errors?.get(name);
  if (known !== undefined) return known;
  const thrown = failure.kind === 'killThrew' ? run.killError : run.startError;
  const tail = output || run.output?.join('\n');
  const error = core.failureError(run.key, failure, { thrown, output: tail });
  if (failure.kind !== 'killThrew') (run.errors ??= new Map()).set(name, error);
  return error;
}

/**
 * The event, with the run's resource if it has one.
 * @template {object} E
 * @param {Run} run
 * @param {E & { resourceId?: string }} event
 */
function withResource({ resourceId }, event) {
  if (resourceId !== undefined) event.resourceId = resourceId;
  return event;
}
