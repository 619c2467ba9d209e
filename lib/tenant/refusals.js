/** Refusals: rejects the promises of calls that Rust has refused, and makes the errors for them. */
import * as errors from '../errors.js';

/** @typedef {import('./tenants.js').Run} Run */
/** @typedef {import('../runtime.js').Core} Core */

/**
 * Rejects a call that was refused.
 * @param {Core} core
 * @param {number} number of the call
 * @param {import('../bridge/records.js').Refusal} refusal
 * @param {string | null} output
 */
export function refuse(core, number, refusal, output) {
  if (refusal.kind === 'stillTracked' && core.notStopped.length === 0) {
    // The processes that were left were starts which had not begun and have been called off since:
    // now `dispose` succeeds.
    return core.native.dispose(number);
  }
  const call = core.calls.close(number);
  if (call === undefined) return;
  const error = errorOf(core, call, refusal, output);
  const { key, method } = call;
  if (method === 'replace') core.onFailure?.({ type: method, key, error });
  call.reject(error);
}

/**
 * The error for a refusal.
 * @param {Core} core
 * @param {import('./calls.js').Call} call
 * @param {import('../bridge/records.js').Refusal} refusal
 * @param {string | null} output
 * @returns {unknown}
 */
function errorOf(core, { key, method }, refusal, output) {
  const { runs, notStopped, settings } = core;
  // Only a runtime with `survive` is refused for its name.
  const name = settings.survive?.name ?? '';
  switch (refusal.kind) {
    case 'disposed':
      return errors.disposed(key);
    case 'draining':
      return errors.draining(key, method);
    case 'inUse':
      return errors.inUse(key, name, refusal.pid, refusal.version);
    case 'notRecovered':
      return errors.notRecovered(key, name, refusal.reason);
    case 'notAdmitted':
      return errors.notClaimed(key, method, core.fleet?.where(key));
    case 'taken':
      return errors.taken(key);
    case 'noRoomBeside':
      return errors.noRoomBeside(key, method);
    case 'overloaded':
      return errors.overloaded(key, method, refusal.waiting);
    case 'exhausted':
      return errors.exhausted(key, refusal.maxFailures, refusal.last);
    case 'backingOff':
      return errors.backingOff(key, refusal.failures, refusal.retryAfterMs, refusal.last);
    case 'startFailed': {
      const run = refusal.run === null ? undefined : runs.get(refusal.run);
      return failureOf(core, run, key, refusal.failure, output);
    }
    case 'stopRefused':
      return failureOf(core, runs.get(refusal.run), key, refusal.failure);
    case 'stillTracked':
      return errors.stillTracked(notStopped.splice(0));
  }
}

/**
 * The error for a failed start or stop. All callers that waited for it get the same object.
 * @param {Core} core
 * @param {Run | undefined} run
 * @param {string} key of the caller; a runtime-wide call has none
 * @param {errors.Failure} failure
 * @param {string | null} [output]
 */
export function failureOf(core, run, key, failure, output) {
  if (run === undefined) return core.failureError(key, failure, {});
  const pending =
    failure.kind === 'stopTimedOut' ? [...(run.pendingKills ?? [])].join(' and ') : '';
  const by = failure.kind === 'thrown' ? failure.by : '';
  const name = failure.kind + by + pending;
  const known = run.errors?.get(name);
  if (known !== undefined) return known;
  const thrown = by === 'kill' ? run.killError : run.startError;
  const tail = output || run.output?.join('\n');
  const error = core.failureError(run.key, failure, { thrown, output: tail, pending });
  if (by !== 'kill') (run.errors ??= new Map()).set(name, error);
  return error;
}
