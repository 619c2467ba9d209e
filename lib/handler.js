/** What becomes of each record that Rust sends up; the numbers are those of `src/binding/records.rs`. */
import * as errors from './errors.js';
import { LogText } from './inbox.js';
import { createRun } from './ledger.js';
import { directoryOf, tenantEnvironment, withHostsBun } from './place.js';

/** @typedef {import('./inbox.js').Batch} Batch */
/** @typedef {import('./ledger.js').Run} Run */
/** @typedef {import('./runtime.js').Core} Core */

/**
 * @param {Core} core
 * @param {() => void} close nothing is left
 * @returns {(batch: Batch) => LogText | undefined}
 */
export function createHandler(core, close) {
  const { settings, native, calls, tickets, tenants, runs, adoptions, counts, tracing, wake } = core;
  const { onLog, external } = core;
  /** Why processes could not be stopped: the answer to a `dispose` follows. @type {unknown[]} */
  const notStopped = [];
  // Called with what has been read before: where nobody listens, arguments are not even evaluated.
  const onMetrics = guarded(settings.onMetrics);
  const onTransition = guarded(settings.onTransition);
  const runOf = (/** @type {Batch} */ batch) => /** @type {Run} */ (runs.get(batch.number()));

  /** @param {Batch} batch @returns {undefined} */
  function prepare(batch) {
    batch.starts += 1;
    const id = batch.number();
    const port = batch.number();
    const startedAt = batch.number();
    const isFresh = batch.number() === 1;
    const run = createRun(id, batch.text(), port, startedAt);
    runs.set(id, run);
    tracing?.begin(run);
    if (core.checkpoints === undefined) start(run);
    else restoreOrStart(core.checkpoints, run, isFresh);
  }

  /** @param {import('./checkpoint/checkpoints.js').Checkpoints} checkpoints @param {Run} run @param {boolean} isFresh */
  function restoreOrStart(checkpoints, run, isFresh) {
    void checkpoints.restoreOr(run, isFresh, () => start(run));
  }

  /** @param {Run} run @returns {undefined} */
  function start(run) {
    const cwd = directoryOf(settings.root, run.key);
    try {
      const env = tenantEnvironment(settings.env, run.key, run.port);
      tracing?.hand(run, env);
      if (settings.spawn === undefined) {
        const command = withHostsBun(settings.command, env);
        const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
        native.launch(run.id, cwd, command, variables);
        wake();
      } else {
        external.start(run, cwd, env);
      }
    } catch (error) {
      external.failStart(run, error);
    }
  }

  /** @param {Batch} batch @returns {undefined} */
  function spawned(batch) {
    const run = runOf(batch);
    run.pid = batch.number();
    run.port = batch.number();
    counts.totalSpawns += 1;
    tracing?.spawned(run);
    onTransition?.(withResource(run, { type: 'spawn', key: run.key, pid: run.pid, port: run.port }));
  }

  /** @param {Batch} batch @returns {undefined} */
  function ready(batch) {
    const run = runOf(batch);
    const durationMs = batch.number();
    tenants.open(run, batch.number(), batch.number());
    run.output = undefined;
    counts.lastSpawnMs = durationMs;
    tracing?.ready(run, durationMs);
    const { key, pid, port } = run;
    onMetrics?.(withResource(run, { type: 'spawn', key, pid, port, durationMs }));
    onTransition?.(withResource(run, { type: 'ready', key, pid, port, durationMs }));
  }

  /** The process that a call of `adopt` handed over is a run. @param {Batch} batch @returns {undefined} */
  function adopted(batch) {
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
    external.reportExit(id, taken.exited);
  }

  /** @param {Batch} batch @returns {undefined} */
  function adoptedIsReady(batch) {
    const run = runOf(batch);
    tenants.open(run, batch.number(), batch.number());
    const { key, pid, port } = run;
    onTransition?.(withResource(run, { type: 'adopt', key, pid, port }));
  }

  /** @param {Batch} batch @returns {undefined} */
  function restored(batch) {
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
  }

  /** @param {Batch} batch @returns {undefined} */
  function exited(batch) {
    const run = runOf(batch);
    const { key, pid } = run;
    const [exitCode, reason] = [batch.exitCode(), batch.exitReason()];
    run.isOver = true;
    tenants.close(run);
    counts.totalExits[reason] += 1;
    if (reason === 'checkpointed') {
      counts.checkpoints.checkpoints += 1;
      core.images.add(key);
    }
    tracing?.exited(run, exitCode, reason);
    core.checkpoints?.exited(run, reason);
    onTransition?.(withResource(run, { type: 'exit', key, pid, exitCode, reason }));
  }

  /** @param {number} id @returns {undefined} */
  function release(id) {
    const run = runs.get(id);
    runs.delete(id);
    if (run !== undefined) tracing?.over(run);
  }

  /** @param {Batch} batch @returns {undefined} */
  function refused(batch) {
    const call = calls.close(batch.number());
    const refusal = batch.refusal();
    call?.reject(errorOf(call, refusal));
  }

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

  return (batch) => {
    switch (batch.number()) {
      case 1:
        return prepare(batch);
      case 2:
        return void external.askReadiness(runOf(batch));
      case 3:
        return void external.askKill(runOf(batch), batch.number() === 1);
      case 4:
        return spawned(batch);
      case 5:
        return ready(batch);
      case 6: {
        const { key, pid } = runOf(batch);
        const idleMs = batch.number();
        return onTransition?.({ type: 'idle-kill', key, pid, reason: 'idle-threshold', idleMs });
      }
      case 7: {
        const { key, pid } = runOf(batch);
        return onTransition?.({ type: 'lru-evict', key, pid, reason: 'max-concurrent' });
      }
      case 8: {
        const run = runOf(batch);
        const { key, pid } = run;
        const [cpuMs, rssBytes, at] = [batch.number(), batch.number(), batch.number()];
        run.usage = { cpuMs, rssBytes };
        return onMetrics?.({ type: 'observation', key, pid, cpuMs, rssBytes, at });
      }
      case 9:
        return exited(batch);
      case 10: {
        const [attempt, retryAfterMs, key] = [batch.number(), batch.number(), batch.text()];
        return onTransition?.({ type: 'backoff', key, attempt, retryAfterMs });
      }
      case 11:
        return onTransition?.({ type: 'drain', reason: 'drain-requested' });
      case 12: {
        const { key, pid } = runOf(batch);
        const stream =
          batch.number() === 0 ? /** @type {const} */ ('stdout') : /** @type {const} */ ('stderr');
        const at = batch.number();
        return new LogText(batch.text(), (line) => onLog?.({ key, pid, stream, line, at }));
      }
      case 13: {
        const call = calls.close(batch.number());
        return void call?.resolve(runOf(batch).live?.tenant);
      }
      case 14:
        return void calls.close(batch.number())?.resolve(undefined);
      case 15:
        return refused(batch);
      case 16:
        return release(batch.number());
      case 17:
        batch.number();
        return void close();
      case 18: {
        const run = runOf(batch);
        return void notStopped.push(failureOf(run, run.key, batch.failure()));
      }
      case 19:
        return adopted(batch);
      case 20:
        return adoptedIsReady(batch);
      case 21:
        return restored(batch);
      case 22:
        return void external.askIdle(runOf(batch), batch.number());
      case 23:
        return void core.checkpoints?.save(runOf(batch));
      case 24:
        return void tickets.close(batch.number(), batch.number());
      default:
        throw new Error('the addon and lib/ of @absolutejs/runtime differ in version; reinstall the package');
    }
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
