/** `createRuntime`: the public object, and what becomes of each record that Rust sends up. */
import { createCalls } from './calls.js';
import { tenantEnvironment, withHostsBun } from './env.js';
import * as errors from './errors.js';
import { askKill, askReadiness, spawnExternal } from './external.js';
import { createInbox, LogText } from './inbox.js';
import { assertKey, directoryOf } from './paths.js';
import { native as loadNative } from './native.js';
import { nativeOptions, readOptions } from './options.js';
import { createRun, createTenants } from './tenants.js';

/** @typedef {import('./inbox.js').Batch} Batch */
/** @typedef {import('./tenants.js').Run} Run */
/** @typedef {import('../index.js').Runtime} Runtime */

/**
 * @param {import('../index.js').RuntimeOptions} options
 * @returns {Runtime}
 */
export function createRuntime(options) {
  const settings = readOptions(options);
  const addon = loadNative();
  const native = addon.openRuntime(nativeOptions(settings, addon), () => inbox.rung());
  /** Running, total, draining, keys with failures: see `src/board.rs`. @type {Float64Array} */
  const board = native.board;
  const calls = createCalls();
  const tenants = createTenants((chunk) => native.leases(chunk));
  const inbox = createInbox(
    native,
    board,
    createHandler(settings, native, calls, tenants, () => inbox.soon(), close),
  );

  /**
   * @template T
   * @param {string} key
   * @param {(call: number) => void} make
   * @returns {Promise<T>}
   */
  const ask = (key, make) =>
    calls.open(key, (call) => {
      make(call);
      inbox.soon();
    });

  /** Only kills and the dispose itself can still be waiting: for what is gone. */
  function close() {
    isClosed = true;
    native.close();
    calls.resolveAll();
  }

  /** @type {Promise<void> | undefined} */
  let disposal;
  // From the first `dispose` on, also while a process that refused to be ended is still tracked.
  let isDisposed = false;
  // Nothing is left, and Rust answers no more calls.
  let isClosed = false;
  const runtime = {
    /** @param {string} key */
    ensure(key) {
      const running = isDisposed ? undefined : tenants.answer(key);
      return running ?? forKey(key, (call) => native.ensure(key, call));
    },
    /** @param {string} key */
    touch(key) {
      tenants.touch(key);
    },
    stats() {
      const failing = board[3] !== 0;
      return {
        running: board[0],
        total: board[1],
        draining: board[2] === 1,
        backoff: failing ? native.backingOff() : 0,
      };
    },
    /** @param {string} key @returns {Promise<void>} */
    kill(key) {
      if (isClosed || typeof key !== 'string') return Promise.resolve();
      return ask(key, (call) => native.kill(key, call));
    },
    /** @param {string} key */
    restart(key) {
      return forKey(key, (call) => native.restart(key, call));
    },
    /** @param {string} key */
    clearBackoff(key) {
      if (typeof key === 'string') native.clearBackoff(key);
    },
    drain() {
      native.drain();
      inbox.soon();
    },
    /** @returns {Promise<void>} */
    dispose() {
      if (disposal !== undefined) return disposal;
      isDisposed = true;
      disposal = ask('', (call) => native.dispose(call));
      // Where some process could not be ended it may be tried again.
      disposal.catch(() => (disposal = undefined));
      return disposal;
    },
  };

  /** @param {string} key @param {(call: number) => void} make @returns {Promise<any>} */
  function forKey(key, make) {
    try {
      assertKey(key);
    } catch (error) {
      return Promise.reject(error);
    }
    return isDisposed ? Promise.reject(errors.disposed()) : ask(key, make);
  }

  if (Symbol.asyncDispose) {
    Object.defineProperty(runtime, Symbol.asyncDispose, { value: runtime.dispose, enumerable: false });
  }
  return /** @type {Runtime} */ (runtime);
}

/**
 * What to do with each kind of record; the numbers are those of `src/binding/records.rs`.
 * @param {import('./options.js').Settings} settings
 * @param {any} native
 * @param {import('./calls.js').Calls} calls
 * @param {ReturnType<typeof createTenants>} tenants
 * @param {() => void} wake
 * @param {() => void} close nothing is left
 * @returns {(batch: Batch) => LogText | undefined}
 */
function createHandler(settings, native, calls, tenants, wake, close) {
  /** @type {Map<number, Run>} */
  const runs = new Map();
  /** Why processes could not be stopped: the answer to a `dispose` follows. @type {unknown[]} */
  const notStopped = [];
  const onLog = guarded(settings.onLog);
  const onMetrics = guarded(settings.onMetrics);
  const onTransition = guarded(settings.onTransition);
  const runOf = (/** @type {Batch} */ batch) => /** @type {Run} */ (runs.get(batch.number()));

  /** @param {Batch} batch @returns {undefined} */
  function prepare(batch) {
    batch.starts += 1;
    const [id, port, startedAt] = [batch.number(), batch.number(), batch.number()];
    const run = createRun(id, batch.text(), port, startedAt);
    runs.set(id, run);
    const cwd = directoryOf(settings.root, run.key);
    try {
      const env = tenantEnvironment(settings.env, run.key, port);
      if (settings.spawn === undefined) {
        const command = withHostsBun(settings.command, env);
        const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
        native.launch(id, cwd, command, variables);
        wake();
      } else {
        void spawnExternal(run, native, settings, { cwd, env }, onLog, wake);
      }
    } catch (error) {
      run.startError = error;
      native.startFailed(id, errors.textOf(error));
      wake();
    }
  }

  /** @param {Batch} batch @returns {undefined} */
  function spawned(batch) {
    const run = runOf(batch);
    run.pid = batch.number();
    run.port = batch.number();
    onTransition(withResource(run, { type: 'spawn', key: run.key, pid: run.pid, port: run.port }));
  }

  /** @param {Batch} batch @returns {undefined} */
  function ready(batch) {
    const run = runOf(batch);
    const durationMs = batch.number();
    tenants.open(run, batch.number(), batch.number());
    run.output = undefined;
    const { key, pid, port } = run;
    onMetrics(withResource(run, { type: 'spawn', key, pid, port, durationMs }));
    onTransition(withResource(run, { type: 'ready', key, pid, port, durationMs }));
  }

  /** @param {Batch} batch @returns {undefined} */
  function exited(batch) {
    const run = runOf(batch);
    const { key, pid } = run;
    const [exitCode, reason] = [batch.exitCode(), batch.exitReason()];
    run.isOver = true;
    tenants.close(run);
    onTransition(withResource(run, { type: 'exit', key, pid, exitCode, reason }));
  }

  /** @param {Batch} batch @returns {undefined} */
  function refused(batch) {
    const call = calls.close(batch.number());
    const refusal = batch.refusal();
    call?.reject(errorOf(call.key, refusal));
  }

  /** @param {string} key @param {import('./inbox.js').Refusal} refusal @returns {unknown} */
  function errorOf(key, refusal) {
    switch (refusal.kind) {
      case 'disposed':
        return errors.disposed();
      case 'draining':
        return errors.draining();
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
        return void askReadiness(runOf(batch), native, /** @type {Function} */ (settings.readiness), wake);
      case 3:
        return void askKill(runOf(batch), native, batch.number() === 1, wake);
      case 4:
        return spawned(batch);
      case 5:
        return ready(batch);
      case 6: {
        const { key, pid } = runOf(batch);
        return onTransition({
          type: 'idle-kill',
          key,
          pid,
          reason: 'idle-threshold',
          idleMs: batch.number(),
        });
      }
      case 7: {
        const { key, pid } = runOf(batch);
        return onTransition({ type: 'lru-evict', key, pid, reason: 'max-concurrent' });
      }
      case 8: {
        const { key, pid } = runOf(batch);
        const [cpuMs, rssBytes, at] = [batch.number(), batch.number(), batch.number()];
        return onMetrics({ type: 'observation', key, pid, cpuMs, rssBytes, at });
      }
      case 9:
        return exited(batch);
      case 10: {
        const [attempt, retryAfterMs] = [batch.number(), batch.number()];
        return onTransition({ type: 'backoff', key: batch.text(), attempt, retryAfterMs });
      }
      case 11:
        return onTransition({ type: 'drain', reason: 'drain-requested' });
      case 12: {
        const { key, pid } = runOf(batch);
        const stream =
          batch.number() === 0 ? /** @type {const} */ ('stdout') : /** @type {const} */ ('stderr');
        const at = batch.number();
        return new LogText(batch.text(), (line) => onLog({ key, pid, stream, line, at }));
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
        return void runs.delete(batch.number());
      case 17:
        batch.number();
        return void close();
      case 18: {
        const run = runOf(batch);
        return void notStopped.push(failureOf(run, run.key, batch.failure()));
      }
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
 * @returns {(event: E) => undefined}
 */
function guarded(callback) {
  if (callback === undefined) return () => undefined;
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
