/**
 * What Rust sends, read field by field in the order in which it is written. Made by
 * `npm run records` of the table in `crates/driver/src/uplink/records.rs`: changed there, not here.
 */
import { unknown } from './batch.js';

/** @typedef {import('./batch.js').Batch} Batch */

// Places on the board: see `crates/driver/src/board.rs`.
export const BOARD_RUNNING = 0;
export const BOARD_TOTAL = 1;
export const BOARD_DRAINING = 2;
export const BOARD_FAILING = 3;
export const BOARD_FAILURES = 4;
export const BOARD_QUEUED = 5;

/** Starts in a batch, at most. */
export const BATCH_STARTS = 64;

/**
 * @typedef {object} LeaseAddress
 * @property {number} chunk
 * @property {number} index
 */

/** @param {Batch} batch @returns {LeaseAddress} */
export function readLeaseAddress(batch) {
  return { chunk: batch.number(), index: batch.number() };
}

export const EXIT_REASONS = /** @type {const} */ ([
  'crashed',
  'exited-clean',
  'idle-killed',
  'lru-evicted',
  'killed',
  'readiness-timeout',
  'disposed',
  'restarted',
  'restarted',
  'checkpointed',
]);

/** @typedef {(typeof EXIT_REASONS)[number]} ExitReason */

export const STREAMS = /** @type {const} */ (['stdout', 'stderr']);

/** @typedef {(typeof STREAMS)[number]} Stream */

export const CALLBACKS = /** @type {const} */ (['spawn', 'readiness', 'kill']);

/** @typedef {(typeof CALLBACKS)[number]} Callback */

/**
 * @typedef {(
 *   | { kind: 'notStarted', reason: string }
 *   | { kind: 'unsupported', reason: string }
 *   | { kind: 'exitedEarly', exitCode: number | null, signal: string | null }
 *   | { kind: 'crashedSoon', exitCode: number | null, signal: string | null, uptimeMs: number }
 *   | { kind: 'calledOff' }
 *   | { kind: 'readinessTimedOut', found: string }
 *   | { kind: 'portTaken', by: string }
 *   | { kind: 'noPort' }
 *   | { kind: 'noBun', path: string | null }
 *   | { kind: 'readinessDenied' }
 *   | { kind: 'thrown', by: Callback, text: string }
 *   | { kind: 'stopTimedOut' }
 * )} Failure
 */

/** @param {Batch} batch @returns {Failure} */
export function readFailure(batch) {
  switch (batch.number()) {
    case 0:
      return { kind: 'notStarted', reason: batch.text() };
    case 1:
      return { kind: 'unsupported', reason: batch.text() };
    case 2:
      return {
        kind: 'exitedEarly',
        exitCode: batch.bool() ? batch.number() : null,
        signal: batch.bool() ? batch.signal() : null,
      };
    case 3:
      return {
        kind: 'crashedSoon',
        exitCode: batch.bool() ? batch.number() : null,
        signal: batch.bool() ? batch.signal() : null,
        uptimeMs: batch.number(),
      };
    case 4:
      return { kind: 'calledOff' };
    case 5:
      return { kind: 'readinessTimedOut', found: batch.text() };
    case 6:
      return { kind: 'portTaken', by: batch.text() };
    case 7:
      return { kind: 'noPort' };
    case 8:
      return { kind: 'noBun', path: batch.bool() ? batch.text() : null };
    case 9:
      return { kind: 'readinessDenied' };
    case 10:
      return {
        kind: 'thrown',
        by: /** @type {Callback} */ (CALLBACKS[batch.number()]),
        text: batch.text(),
      };
    case 11:
      return { kind: 'stopTimedOut' };
    default:
      return unknown();
  }
}

/**
 * @typedef {(
 *   | { kind: 'disposed' }
 *   | { kind: 'draining' }
 *   | { kind: 'taken' }
 *   | { kind: 'exhausted', maxFailures: number, last: Failure }
 *   | { kind: 'backingOff', failures: number, retryAfterMs: number, last: Failure }
 *   | { kind: 'overloaded', waiting: number }
 *   | { kind: 'noRoomBeside' }
 *   | { kind: 'startFailed', run: number | null, failure: Failure }
 *   | { kind: 'stopRefused', run: number, failure: Failure }
 *   | { kind: 'stillTracked' }
 * )} Refusal
 */

/** @param {Batch} batch @returns {Refusal} */
export function readRefusal(batch) {
  switch (batch.number()) {
    case 0:
      return { kind: 'disposed' };
    case 1:
      return { kind: 'draining' };
    case 2:
      return { kind: 'taken' };
    case 3:
      return { kind: 'exhausted', maxFailures: batch.number(), last: readFailure(batch) };
    case 4:
      return {
        kind: 'backingOff',
        failures: batch.number(),
        retryAfterMs: batch.number(),
        last: readFailure(batch),
      };
    case 5:
      return { kind: 'overloaded', waiting: batch.number() };
    case 6:
      return { kind: 'noRoomBeside' };
    case 7:
      return {
        kind: 'startFailed',
        run: batch.bool() ? batch.number() : null,
        failure: readFailure(batch),
      };
    case 8:
      return { kind: 'stopRefused', run: batch.number(), failure: readFailure(batch) };
    case 9:
      return { kind: 'stillTracked' };
    default:
      return unknown();
  }
}

/**
 * @typedef {(
 *   | { kind: 'tenant', run: number }
 *   | { kind: 'done' }
 *   | { kind: 'refused', refusal: Refusal }
 * )} Outcome
 */

/** @param {Batch} batch @returns {Outcome} */
export function readOutcome(batch) {
  switch (batch.number()) {
    case 0:
      return { kind: 'tenant', run: batch.number() };
    case 1:
      return { kind: 'done' };
    case 2:
      return { kind: 'refused', refusal: readRefusal(batch) };
    default:
      return unknown();
  }
}

export const PHASES = /** @type {const} */ ([
  'queued',
  'spawning',
  'ready',
  'stopping',
  'stuck',
  'backing-off',
  'failed',
  'stopped',
  'checkpointed',
]);

/** @typedef {(typeof PHASES)[number]} Phase */

/**
 * @typedef {object} FailureStatus
 * @property {number} count
 * @property {number | null} retryAt
 * @property {Failure} last
 * @property {boolean} isOfLastExit
 */

/** @param {Batch} batch @returns {FailureStatus} */
export function readFailureStatus(batch) {
  return {
    count: batch.number(),
    retryAt: batch.bool() ? batch.number() : null,
    last: readFailure(batch),
    isOfLastExit: batch.bool(),
  };
}

/**
 * @typedef {object} Usage
 * @property {number} cpuMs
 * @property {number} rssBytes
 */

/** @param {Batch} batch @returns {Usage} */
export function readUsage(batch) {
  return { cpuMs: batch.number(), rssBytes: batch.number() };
}

/**
 * @typedef {object} LastExit
 * @property {number | null} exitCode
 * @property {string | null} signal
 * @property {ExitReason} reason
 * @property {number} at
 * @property {string} output
 */

/** @param {Batch} batch @returns {LastExit} */
export function readLastExit(batch) {
  return {
    exitCode: batch.bool() ? batch.number() : null,
    signal: batch.bool() ? batch.signal() : null,
    reason: /** @type {ExitReason} */ (EXIT_REASONS[batch.number()]),
    at: batch.number(),
    output: batch.text(),
  };
}

/**
 * @typedef {object} History
 * @property {number} starts
 * @property {number} crashes
 * @property {LastExit | null} lastExit
 */

/** @param {Batch} batch @returns {History} */
export function readHistory(batch) {
  return {
    starts: batch.number(),
    crashes: batch.number(),
    lastExit: batch.bool() ? readLastExit(batch) : null,
  };
}

/**
 * @typedef {object} Status
 * @property {string} key
 * @property {Phase} phase
 * @property {number | null} run
 * @property {FailureStatus | null} failures
 * @property {Usage | null} usage
 * @property {History} history
 */

/** @param {Batch} batch @returns {Status} */
export function readStatus(batch) {
  return {
    key: batch.text(),
    phase: /** @type {Phase} */ (PHASES[batch.number()]),
    run: batch.bool() ? batch.number() : null,
    failures: batch.bool() ? readFailureStatus(batch) : null,
    usage: batch.bool() ? readUsage(batch) : null,
    history: readHistory(batch),
  };
}

/**
 * A function of the user's has a say in the start of the run: call the user's `spawn`, or work out
 * the variables and call `launch`. Port and time are filled in when JavaScript takes it.
 * @typedef {object} PrepareRecord
 * @property {number} run
 * @property {string} key
 * @property {number} port
 * @property {number} startedAt
 */

/**
 * Call `restore` of the user's snapshot driver. Port and time are filled in likewise.
 * @typedef {object} RestoreImageRecord
 * @property {number} run
 * @property {string} key
 * @property {number} port
 * @property {number} startedAt
 * @property {boolean} isOurs What is restored listens on that port.
 */

/**
 * Call `has` of the user's snapshot driver.
 * @typedef {object} FindImageRecord
 * @property {number} run
 * @property {string} key
 */

/**
 * The run waits for the user's snapshot driver.
 * @typedef {object} AwaitImageRecord
 * @property {number} run
 * @property {string} key
 */

/**
 * Call `drop` of the user's snapshot driver.
 * @typedef {object} DropImageRecord
 * @property {string} key
 */

/**
 * A process is being started for the run.
 * @typedef {object} StartingRecord
 * @property {number} run
 * @property {string} key
 * @property {number} port
 * @property {number} startedAt
 */

/**
 * The process that this call handed over is the run.
 * @typedef {object} AdoptedRecord
 * @property {number} run
 * @property {number} call
 * @property {string} key
 */

/**
 * Call the user's `readiness`.
 * @typedef {object} AskReadinessRecord
 * @property {number} run
 */

/**
 * Call `kill` of the user's process.
 * @typedef {object} AskKillRecord
 * @property {number} run
 * @property {boolean} force
 */

/**
 * Call the user's `shouldIdleKill`.
 * @typedef {object} AskIdleRecord
 * @property {number} run
 * @property {number} idleMs
 */

/**
 * Call `checkpoint` of the user's driver.
 * @typedef {object} CheckpointRecord
 * @property {number} run
 */

/**
 * The process exists.
 * @typedef {object} SpawnRecord
 * @property {number} run
 * @property {number} pid
 * @property {number} port
 */

/**
 * The process that was handed over is a tenant now.
 * @typedef {object} AdoptRecord
 * @property {number} run
 * @property {LeaseAddress} lease
 */

/**
 * It was brought back from a snapshot, and answers.
 * @typedef {object} RestoredRecord
 * @property {number} run
 * @property {number} pid
 * @property {number} port
 * @property {number} durationMs
 * @property {LeaseAddress} lease
 */

/**
 * It answers.
 * @typedef {object} ReadyRecord
 * @property {number} run
 * @property {number} durationMs
 * @property {LeaseAddress} lease
 * @property {boolean} atIpv6 It is reached at `::1`, and not at 127.0.0.1.
 */

/**
 * It is being stopped because it was not used for so long.
 * @typedef {object} IdleKillRecord
 * @property {number} run
 * @property {number} idleMs
 */

/**
 * It is being stopped to make room.
 * @typedef {object} LruEvictRecord
 * @property {number} run
 */

/**
 * What its process tree has used so far.
 * @typedef {object} ObservationRecord
 * @property {number} run
 * @property {number} cpuMs
 * @property {number} rssBytes
 * @property {number} at
 */

/**
 * It is gone.
 * @typedef {object} ExitRecord
 * @property {number} run
 * @property {number | null} exitCode
 * @property {string | null} signal
 * @property {ExitReason} reason
 */

/**
 * A call was refused inside the key's back-off window.
 * @typedef {object} BackoffRecord
 * @property {string} key
 * @property {number} attempt
 * @property {number} retryAfterMs
 */

/**
 * One or more whole lines, without the last line's end.
 * @typedef {object} LogRecord
 * @property {number} run
 * @property {Stream} stream
 * @property {number} at
 * @property {string} text
 */

/**
 * A process that `dispose` could not end; the answer to the call follows.
 * @typedef {object} NotStoppedRecord
 * @property {number} run
 * @property {Failure} failure
 */

/**
 * The answer to a call.
 * @typedef {object} SettleRecord
 * @property {number} call
 * @property {Outcome} outcome
 * @property {string | null} output The last lines of a process that ended before it was ready.
 */

/**
 * What was asked for under this number has been found out.
 * @typedef {object} AnswerRecord
 * @property {number} ticket
 * @property {number | null} answer
 */

/**
 * No record is about the run any more.
 * @typedef {object} ReleaseRecord
 * @property {number} run
 */

/**
 * Nothing is left of the runtime: answer these calls.
 * @typedef {object} DisposedRecord
 * @property {number} call
 */

/**
 * Another runtime starts the tenants of the same root: of this process, where that is known.
 * @typedef {object} SharedRootRecord
 * @property {number | null} pid
 */

/**
 * What is done about each record.
 * @template C, R
 * @typedef {object} Handlers
 * @property {(core: C, record: PrepareRecord) => R} prepare
 * @property {(core: C, record: RestoreImageRecord) => R} restoreImage
 * @property {(core: C, record: FindImageRecord) => R} findImage
 * @property {(core: C, record: AwaitImageRecord) => R} awaitImage
 * @property {(core: C, record: DropImageRecord) => R} dropImage
 * @property {(core: C, record: StartingRecord) => R} starting
 * @property {(core: C, record: AdoptedRecord) => R} adopted
 * @property {(core: C, record: AskReadinessRecord) => R} askReadiness
 * @property {(core: C, record: AskKillRecord) => R} askKill
 * @property {(core: C, record: AskIdleRecord) => R} askIdle
 * @property {(core: C, record: CheckpointRecord) => R} checkpoint
 * @property {(core: C, record: SpawnRecord) => R} spawn
 * @property {(core: C, record: AdoptRecord) => R} adopt
 * @property {(core: C, record: RestoredRecord) => R} restored
 * @property {(core: C, record: ReadyRecord) => R} ready
 * @property {(core: C, record: IdleKillRecord) => R} idleKill
 * @property {(core: C, record: LruEvictRecord) => R} lruEvict
 * @property {(core: C, record: ObservationRecord) => R} observation
 * @property {(core: C, record: ExitRecord) => R} exit
 * @property {(core: C, record: BackoffRecord) => R} backoff
 * @property {(core: C) => R} drain No new spawns from now on.
 * @property {(core: C, record: LogRecord) => R} log
 * @property {(core: C, record: NotStoppedRecord) => R} notStopped
 * @property {(core: C, record: SettleRecord) => R} settle
 * @property {(core: C, record: AnswerRecord) => R} answer
 * @property {(core: C, record: ReleaseRecord) => R} release
 * @property {(core: C, record: DisposedRecord) => R} disposed
 * @property {(core: C, record: SharedRootRecord) => R} sharedRoot
 */

/**
 * Passes on to the next record of the batch, and has it handled.
 * @template C, R
 * @param {Batch} batch
 * @param {C} core
 * @param {Handlers<C, R>} handlers
 */
export function handleRecord(batch, core, handlers) {
  switch (batch.open()) {
    case 0:
      return handlers.prepare(core, {
        run: batch.number(),
        key: batch.text(),
        port: batch.number(),
        startedAt: batch.number(),
      });
    case 1:
      return handlers.restoreImage(core, {
        run: batch.number(),
        key: batch.text(),
        port: batch.number(),
        startedAt: batch.number(),
        isOurs: batch.bool(),
      });
    case 2:
      return handlers.findImage(core, { run: batch.number(), key: batch.text() });
    case 3:
      return handlers.awaitImage(core, { run: batch.number(), key: batch.text() });
    case 4:
      return handlers.dropImage(core, { key: batch.text() });
    case 5:
      return handlers.starting(core, {
        run: batch.number(),
        key: batch.text(),
        port: batch.number(),
        startedAt: batch.number(),
      });
    case 6:
      return handlers.adopted(core, {
        run: batch.number(),
        call: batch.number(),
        key: batch.text(),
      });
    case 7:
      return handlers.askReadiness(core, { run: batch.number() });
    case 8:
      return handlers.askKill(core, { run: batch.number(), force: batch.bool() });
    case 9:
      return handlers.askIdle(core, { run: batch.number(), idleMs: batch.number() });
    case 10:
      return handlers.checkpoint(core, { run: batch.number() });
    case 11:
      return handlers.spawn(core, {
        run: batch.number(),
        pid: batch.number(),
        port: batch.number(),
      });
    case 12:
      return handlers.adopt(core, { run: batch.number(), lease: readLeaseAddress(batch) });
    case 13:
      return handlers.restored(core, {
        run: batch.number(),
        pid: batch.number(),
        port: batch.number(),
        durationMs: batch.number(),
        lease: readLeaseAddress(batch),
      });
    case 14:
      return handlers.ready(core, {
        run: batch.number(),
        durationMs: batch.number(),
        lease: readLeaseAddress(batch),
        atIpv6: batch.bool(),
      });
    case 15:
      return handlers.idleKill(core, { run: batch.number(), idleMs: batch.number() });
    case 16:
      return handlers.lruEvict(core, { run: batch.number() });
    case 17:
      return handlers.observation(core, {
        run: batch.number(),
        cpuMs: batch.number(),
        rssBytes: batch.number(),
        at: batch.number(),
      });
    case 18:
      return handlers.exit(core, {
        run: batch.number(),
        exitCode: batch.bool() ? batch.number() : null,
        signal: batch.bool() ? batch.signal() : null,
        reason: /** @type {ExitReason} */ (EXIT_REASONS[batch.number()]),
      });
    case 19:
      return handlers.backoff(core, {
        key: batch.text(),
        attempt: batch.number(),
        retryAfterMs: batch.number(),
      });
    case 20:
      return handlers.drain(core);
    case 21:
      return handlers.log(core, {
        run: batch.number(),
        stream: /** @type {Stream} */ (STREAMS[batch.number()]),
        at: batch.number(),
        text: batch.text(),
      });
    case 22:
      return handlers.notStopped(core, { run: batch.number(), failure: readFailure(batch) });
    case 23:
      return handlers.settle(core, {
        call: batch.number(),
        outcome: readOutcome(batch),
        output: batch.bool() ? batch.text() : null,
      });
    case 24:
      return handlers.answer(core, {
        ticket: batch.number(),
        answer: batch.bool() ? batch.number() : null,
      });
    case 25:
      return handlers.release(core, { run: batch.number() });
    case 26:
      return handlers.disposed(core, { call: batch.number() });
    case 27:
      return handlers.sharedRoot(core, { pid: batch.bool() ? batch.number() : null });
    default:
      return unknown();
  }
}
