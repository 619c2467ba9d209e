/** What becomes of each record that Rust sends up: one function for each of `RECORDS`. */
import * as errors from './errors.js';
import { LogText, RECORDS } from './inbox.js';
import { createRun } from './ledger.js';
import { directoryOf, tenantEnvironment, withHostsBun } from './place.js';

/** @typedef {import('./inbox.js').Batch} Batch */
/** @typedef {import('./ledger.js').Run} Run */
/** @typedef {import('./runtime.js').Core} Core */

/** Reads the rest of its record and acts on it; log lines are left to the reader of the batch. @typedef {(batch: Batch) => LogText | void} Handler */
/** @typedef {(batch: Batch) => Run} RunOf */

/**
 * @param {Core} core
 * @param {() => void} close nothing is left
 * @returns {(batch: Batch) => LogText | undefined}
 */
export function createHandler(core, close) {
  const runOf = (/** @type {Batch} */ batch) => /** @type {Run} */ (core.runs.get(batch.number()));
  /** @type {Record<string, Handler>} */
  const handlers = {
    ...ofStarts(core, runOf),
    ...ofTenants(core, runOf),
    ...ofEnds(core, runOf),
    ...ofCalls(core, runOf, close),
  };
  const byNumber = RECORDS.map((name) => /** @type {Handler} */ (handlers[name]));
  return (batch) => {
    const take = byNumber[batch.open()];
    if (take === undefined) throw new Error('the addon and lib/ of @absolutejs/runtime differ; reinstall it');
    return take(batch) || undefined;
  };
}

/** Until there is a process. @param {Core} core @param {RunOf} runOf @returns {Record<string, Handler>} */
function ofStarts(
  { settings, native, runs, adoptions, counts, tracing, checkpoints, external, onTransition, wake },
  runOf,
) {
  /** @param {Run} run */
  function start(run) {
    try {
      const cwd = directoryOf(settings.root, run.key);
      const env = tenantEnvironment(settings.env, run.key, run.port);
      tracing?.hand(run, env);
      if (settings.spawn === undefined) launch(run, cwd, env);
      else external.start(run, cwd, env);
    } catch (error) {
      external.failStart(run, error);
    }
  }

  /** @param {Run} run @param {string} cwd @param {Record<string, string>} env */
  function launch(run, cwd, env) {
    const command = withHostsBun(settings.command, env);
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    native.launch(run.id, cwd, command, variables);
    wake();
  }

  /** @param {import('./checkpoint/checkpoints.js').Checkpoints} images @param {Run} run @param {boolean} isFresh */
  function restoreOrStart(images, run, isFresh) {
    void images.restoreOr(run, isFresh, () => start(run));
  }

  return {
    prepare(batch) {
      batch.starts += 1;
      const id = batch.number();
      const port = batch.number();
      const startedAt = batch.number();
      const isFresh = batch.number() === 1;
      const run = createRun(id, batch.text(), port, startedAt);
      runs.set(id, run);
      tracing?.begin(run);
      if (checkpoints === undefined) start(run);
      else restoreOrStart(checkpoints, run, isFresh);
    },
    spawn(batch) {
      const run = runOf(batch);
      run.pid = batch.number();
      run.port = batch.number();
      counts.totalSpawns += 1;
      tracing?.spawned(run);
      onTransition?.(withResource(run, { type: 'spawn', key: run.key, pid: run.pid, port: run.port }));
    },
    askReadiness: (batch) => external.askReadiness(runOf(batch)),
    /** The process that a call of `adopt` handed over is a run. */
    adopted(batch) {
      const [id, call] = [batch.number(), batch.number()];
      const { process, taken, port, startedAt } = /** @type {import('./runtime.js').Adoption} */ (
        adoptions.get(call)
      );
      adoptions.delete(call);
      const run = createRun(id, batch.text(), port, startedAt);
      run.pid = taken.pid;
      run.process = process;
      run.resourceId = taken.resourceId;
      runs.set(id, run);
      external.reportExit(run, taken.exited);
    },
  };
}

/** While a tenant is there. @param {Core} core @param {RunOf} runOf @returns {Record<string, Handler>} */
function ofTenants({ tenants, counts, tracing, onLog, onMetrics, onTransition }, runOf) {
  return {
    ready(batch) {
      const run = runOf(batch);
      const durationMs = batch.number();
      tenants.open(run, batch.number(), batch.number());
      run.output = undefined;
      counts.lastSpawnMs = durationMs;
      tracing?.ready(run, durationMs);
      const { key, pid, port } = run;
      onMetrics?.(withResource(run, { type: 'spawn', key, pid, port, durationMs }));
      onTransition?.(withResource(run, { type: 'ready', key, pid, port, durationMs }));
    },
    adopt(batch) {
      const run = runOf(batch);
      tenants.open(run, batch.number(), batch.number());
      const { key, pid, port } = run;
      onTransition?.(withResource(run, { type: 'adopt', key, pid, port }));
    },
    restored(batch) {
      const run = runOf(batch);
      run.pid = batch.number();
      run.port = batch.number();
      const durationMs = batch.number();
      tenants.open(run, batch.number(), batch.number());
      counts.checkpoints.restores += 1;
      counts.checkpoints.lastRestoreMs = durationMs;
      tracing?.spawned(run);
      tracing?.ready(run, durationMs);
      const { key, pid, port } = run;
      onTransition?.(withResource(run, { type: 'restored', key, pid, port, durationMs }));
    },
    log(batch) {
      const { key, pid } = runOf(batch);
      const stream = batch.number() === 0 ? /** @type {const} */ ('stdout') : /** @type {const} */ ('stderr');
      const at = batch.number();
      return new LogText(batch.text(), (line) => onLog?.({ key, pid, stream, line, at }));
    },
    observation(batch) {
      const run = runOf(batch);
      const { key, pid } = run;
      const [cpuMs, rssBytes, at] = [batch.number(), batch.number(), batch.number()];
      run.usage = { cpuMs, rssBytes };
      onMetrics?.({ type: 'observation', key, pid, cpuMs, rssBytes, at });
    },
  };
}

/** From the decision to stop a tenant on. @param {Core} core @param {RunOf} runOf @returns {Record<string, Handler>} */
function ofEnds({ runs, tenants, images, counts, tracing, checkpoints, external, onTransition }, runOf) {
  return {
    askIdle: (batch) => void external.askIdle(runOf(batch), batch.number()),
    idleKill(batch) {
      const { key, pid } = runOf(batch);
      const idleMs = batch.number();
      onTransition?.({ type: 'idle-kill', key, pid, reason: 'idle-threshold', idleMs });
    },
    lruEvict(batch) {
      const { key, pid } = runOf(batch);
      onTransition?.({ type: 'lru-evict', key, pid, reason: 'max-concurrent' });
    },
    checkpoint: (batch) => void checkpoints?.save(runOf(batch)),
    askKill: (batch) => void external.askKill(runOf(batch), batch.number() === 1),
    exit(batch) {
      const run = runOf(batch);
      const { key, pid } = run;
      const exitCode = batch.exitCode();
      const reason = batch.exitReason();
      run.isOver = true;
      tenants.close(run);
      counts.totalExits[reason] += 1;
      if (reason === 'checkpointed') {
        counts.checkpoints.checkpoints += 1;
        images.add(key);
      }
      tracing?.exited(run, exitCode, reason);
      checkpoints?.exited(run, reason);
      onTransition?.(withResource(run, { type: 'exit', key, pid, exitCode, reason }));
    },
    /** Nothing will be heard of it again. */
    release(batch) {
      const id = batch.number();
      const run = runs.get(id);
      runs.delete(id);
      if (run !== undefined) tracing?.over(run);
    },
  };
}

/** Answers, and what belongs to no run. @param {Core} core @param {RunOf} runOf @param {() => void} close @returns {Record<string, Handler>} */
function ofCalls({ calls, tickets, runs, onTransition }, runOf, close) {
  /** Why processes could not be stopped: the answer to a `dispose` follows. @type {unknown[]} */
  const notStopped = [];

  /** @param {import('./ledger.js').Call} call @param {import('./inbox.js').Refusal} refusal @returns {unknown} */
  function errorOf({ key, method }, refusal) {
    switch (refusal.kind) {
      case 'disposed':
        return errors.disposed();
      case 'draining':
        return errors.draining(method);
      case 'taken':
        return errors.taken(key);
      case 'overloaded':
        return errors.overloaded(method, refusal.waiting);
      case 'exhausted':
        return errors.exhausted(key, refusal.maxFailures, refusal.last);
      case 'backingOff':
        return errors.backingOff(key, refusal.attempt, refusal.retryAfterMs, refusal.last);
      case 'startFailed':
        return failureOf(runs.get(refusal.run), key, refusal.failure, refusal.output);
      case 'stopRefused':
        return failureOf(runs.get(refusal.run), key, refusal.failure);
      case 'stillTracked':
        return errors.stillTracked(notStopped.splice(0));
    }
  }

  return {
    tenant(batch) {
      const call = calls.close(batch.number());
      const { live } = runOf(batch);
      call?.resolve(live?.tenant);
    },
    done: (batch) => calls.close(batch.number())?.resolve(undefined),
    refused(batch) {
      const call = calls.close(batch.number());
      const refusal = batch.refusal();
      call?.reject(errorOf(call, refusal));
    },
    notStopped(batch) {
      const run = runOf(batch);
      notStopped.push(failureOf(run, run.key, batch.failure()));
    },
    disposed(batch) {
      batch.number();
      close();
    },
    answer: (batch) => tickets.close(batch.number(), batch.number()),
    backoff(batch) {
      const [attempt, retryAfterMs, key] = [batch.number(), batch.number(), batch.text()];
      onTransition?.({ type: 'backoff', key, attempt, retryAfterMs });
    },
    drain: () => onTransition?.({ type: 'drain', reason: 'drain-requested' }),
  };
}

/**
 * The error for a failed start or stop. All who waited for the same thing get the same object.
 * @param {Run | undefined} run
 * @param {string} key of the caller; a runtime-wide call has none
 * @param {errors.Failure} failure
 * @param {string} [output]
 */
function failureOf(run, key, failure, output) {
  if (run === undefined) return errors.failureError(key, failure, {});
  const known = run.errors?.get(failure.kind);
  if (known !== undefined) return known;
  const thrown = failure.kind === 'killThrew' ? run.killError : run.startError;
  const tail = output || run.output?.join('\n');
  const error = errors.failureError(run.key, failure, { thrown, output: tail });
  if (failure.kind !== 'killThrew') (run.errors ??= new Map()).set(failure.kind, error);
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

/**
 * A user's callback that cannot break anything by throwing, or by returning a promise that rejects.
 * @template E
 * @param {((event: E) => unknown) | undefined} callback
 * @returns {((event: E) => undefined) | undefined}
 */
export function guarded(callback) {
  if (callback === undefined) return undefined;
  return (event) => {
    try {
      const result = callback(event);
      if (result !== undefined && result !== null) Promise.resolve(result).catch(() => {});
    } catch {
      // The callback's own affair: the pool goes on.
    }
    return undefined;
  };
}
