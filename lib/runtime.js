/** `createRuntime`: the public object of a runtime. */
import { assertKey, keysAt } from './checks.js';
import * as errors from './errors.js';
import { createLazyInbox } from './tenant/lazy-inbox.js';
import { createCalls, createTickets, unlessAborted } from './tenant/calls.js';
import { native as loadNative } from './bridge/native.js';
import { BOARD_DRAINING, BOARD_FAILING, BOARD_RUNNING, BOARD_TOTAL } from './bridge/records.js';
import { readAdoption, readOptions, readReplacement, signalOf } from './options.js';
import { foreignProcess, isBarePid, usable } from './tenant/processes.js';
import { createReplacements } from './tenant/replacements.js';
import { createTenants } from './tenant/tenants.js';
import { createCounts, metricsOf, statusesOf, steadyMs } from './observe/telemetry.js';

/** @typedef {import('../index.js').Runtime} Runtime */

/**
 * What the parts of a runtime know of the fleet that it is in.
 * @typedef {object} InFleet
 * @property {string} id of this host
 * @property {(key: string) => { host: string, address: string } | null} where
 * @property {() => import('../fleet.js').FleetHost[]} hosts
 * @property {(keys: readonly string[]) => Claim[]} claims of these keys, or of all if none is named
 * @property {(host: string, question: string) => Promise<any>} ask asks a host, this one included,
 *   what `fleet/operators.js` has the answers to; rejects with the reason why there is no answer
 * @property {() => Promise<void>} drain
 * @property {() => Promise<void>} close
 */

/**
 * Whose a key of the fleet is; `isVoid`: the host that has claimed it is gone.
 * @typedef {{ key: string, host: string, epoch: string, isVoid: boolean }} Claim
 */

/**
 * A process that `adopt` was called with, until Rust has taken it in.
 * @typedef {object} Adoption
 * @property {any} process
 * @property {ReturnType<typeof usable>} taken
 * @property {number} port
 * @property {'::1' | undefined} host
 * @property {number} startedAt milliseconds since the epoch
 */

/**
 * The state that the parts of one runtime share. The fields that `tenancy.js` sets are undefined
 * until the runtime is used.
 * @typedef {object} Core
 * @property {import('./options.js').Settings} settings
 * @property {any} native
 * @property {Float64Array} board the current figures: see `crates/driver/src/board.rs`
 * @property {import('./tenant/calls.js').Calls} calls
 * @property {import('./tenant/calls.js').Tickets} tickets
 * @property {ReturnType<typeof createTenants>} tenants
 * @property {Map<number, import('./tenant/tenants.js').Run>} runs
 * @property {Map<number, Adoption>} adoptions by call
 * @property {import('./observe/telemetry.js').Counts} counts
 * @property {number} startsInHand how many starts the current batch has asked for
 * @property {Map<(how?: { graceMs: number }) => Promise<void>, number>} gateways the `close` of
 *   each open gateway, and its `drainMs`
 * @property {Set<() => Promise<void>>} controls the `close` of each open control
 * @property {InFleet | undefined} fleet that it is a part of
 * @property {((from: string) => void) | undefined} drainHost of a control: ends the host's work in
 *   order, as the host `from` of the fleet has asked for
 * @property {readonly import('./observe/listen.js').Listener[]} listeners who are told what the
 *   user's callbacks are told
 * @property {(() => void) | undefined} hear sets the callbacks below, of the user and `listeners`
 * @property {() => any} readHost what this machine offers
 * @property {unknown[]} notStopped why processes could not be stopped, for the next answer to
 *   `dispose`
 * @property {() => void} close ends the runtime, of which no process is left
 * @property {() => void} leave leaves the tenants to a later host, as `detach` does
 * @property {Promise<void> | undefined} recovered resolves when all is known that has outlived an
 *   earlier host; undefined without `survive`
 * @property {(texts?: import('./bridge/batch.js').Texts) => void} wake schedules a look for
 *   records that a call into Rust has led to; `texts` is what that call returned
 * @property {(() => void) | undefined} handDown hands the host's variables and surroundings down
 *   to Rust, so that it can start tenants without asking
 * @property {typeof errors.failureError} failureError of `index.js`: the copy in `tenancy.js`
 *   would make errors of a class that users do not have
 * @property {((event: import('../index.js').RuntimeLogEvent) => void) | undefined} onLog the
 *   user's, guarded: it never throws
 * @property {((event: import('../index.js').RuntimeMetricEvent) => void) | undefined} onMetrics
 * @property {((event: import('../index.js').RuntimeTransitionEvent) => void) | undefined}
 *   onTransition
 * @property {((failed: import('./observe/listen.js').Failed) => void) | undefined} onFailure of
 *   parts that look on
 * @property {import('./tenant/external.js').External} external the user's `spawn`, `readiness`,
 *   `kill` and `shouldIdleKill`
 * @property {ReturnType<typeof import('./observe/tracing.js').createTracing> | undefined} tracing
 * @property {import('./checkpoint/checkpoints.js').Checkpoints | undefined} checkpoints
 */

/**
 * @param {import('./options.js').Settings} settings
 * @param {Pick<Core, 'close' | 'leave'>} ends
 * @returns {Core}
 */
function createCore(settings, { close, leave }) {
  const addon = loadNative();
  if (settings.limits !== undefined || settings.isolation !== undefined) {
    const problem = addon.confinementProblem(settings.limits, settings.isolation, settings.root);
    if (problem) throw errors.unsupported(problem);
  }
  /** @type {import('./bridge/inbox.js').Inbox} */
  let inbox;
  const native = addon.openRuntime(settings, addon.wardenPath, () => inbox.rung());
  /** @type {Core['wake']} */
  const wake = (texts) => inbox.soon(texts);
  /** @type {Core} */
  const core = {
    settings,
    native,
    board: native.board,
    calls: createCalls(wake),
    tickets: createTickets(),
    tenants: createTenants((chunk) => native.leases(chunk)),
    runs: new Map(),
    adoptions: new Map(),
    counts: createCounts(),
    startsInHand: 0,
    gateways: new Map(),
    controls: new Set(),
    fleet: undefined,
    drainHost: undefined,
    listeners: [],
    hear: undefined,
    readHost: /** @type {Core['readHost']} */ (addon.readHost),
    notStopped: [],
    close,
    leave,
    recovered: undefined,
    wake,
    handDown: undefined,
    failureError: errors.failureError,
    onLog: undefined,
    onMetrics: undefined,
    onTransition: undefined,
    onFailure: undefined,
    external: /** @type {any} */ (undefined),
    tracing: undefined,
    checkpoints: undefined,
  };
  inbox = createLazyInbox(core, (opened) => (inbox = opened));
  return core;
}

/** @param {Core} core */
const closeControls = ({ controls }) => Promise.all([...controls].map((close) => close()));

/** @param {Core} core */
const closeGateways = ({ gateways }) => Promise.all([...gateways.keys()].map((close) => close()));

/** Takes no connection any more; what is open has its `drainMs`. @param {Core} core */
const drainGateways = ({ gateways }) =>
  Promise.all([...gateways].map(([close, drainMs]) => close({ graceMs: drainMs })));

/**
 * @param {import('../index.js').RuntimeOptions} options
 * @returns {Runtime}
 */
export function createRuntime(options) {
  const settings = readOptions(options);
  const core = createCore(settings, { close, leave: () => void leave().catch(() => {}) });
  const { native, board, calls, tenants, adoptions, counts, wake } = core;
  const replaceTenant = createReplacements(core, giveUp);

  /**
   * Ends the runtime. Only calls of `kill` and `dispose` can be waiting, for processes that are
   * gone: they resolve.
   */
  function close() {
    isClosed = true;
    counts.closedAt = steadyMs();
    native.close();
    core.tracing?.close();
    calls.resolveAll();
  }

  /**
   * Leaves the tenants to a later host. Gateways take no connection from now on; the runtime ends
   * when their last request has.
   * @returns {Promise<void>}
   */
  function leave() {
    if (detachment !== undefined) return detachment;
    isDisposed = true;
    // First, since gateways of a runtime that leaves leave their sockets, too.
    const released = calls.open('', (_, call) => native.detach(call), 'detach');
    const drained = drainGateways(core);
    return (detachment = drained
      .then(() => released)
      .finally(() => closeControls(core).then(close)));
  }

  /** @type {Promise<void> | undefined} */
  let detachment;
  /** @type {Promise<void> | undefined} */
  let disposal;
  // True from the first `dispose` on, even if a process could not be stopped and is still tracked.
  let isDisposed = false;
  // True once the runtime has ended: Rust answers no more calls.
  let isClosed = false;
  const runtime = {
    /** @param {string} key @param {import('../index.js').CallOptions} [options] */
    ensure(key, options) {
      /** @type {AbortSignal | undefined} */
      let signal;
      let mayWait = true;
      if (options !== undefined) {
        try {
          signal = signalOf(options);
          mayWait = signal === undefined || signal.aborted === false;
        } catch (error) {
          return Promise.reject(errors.unreadableFor(key, 'signal', error));
        }
      }
      const running = mayWait && !isDisposed ? tenants.answer(key) : undefined;
      return running ?? forKey(key, signal, native.ensure);
    },
    touch: settings.sleep === undefined ? touch : touchOrWake,
    // Programs of the TypeScript package read `checkpoints` here. It is no key: there are four, and
    // a copy has no more. It costs 50 to 500 ns, so runtimes without snapshots do not have it.
    stats:
      settings.checkpoint === undefined
        ? figures
        : () =>
            Object.defineProperty(figures(), 'checkpoints', { value: { ...counts.checkpoints } }),
    metrics: () => metricsOf(figures(), core),
    /** @param {string} key */
    inspect(key) {
      return (typeof key === 'string' && statusesOf(native.inspect(key), core)[0]) || null;
    },
    list: () => statusesOf(native.list(), core),
    /** @param {string} key @returns {Promise<void>} */
    kill(key) {
      if (isClosed || typeof key !== 'string') return Promise.resolve();
      return calls.open(key, native.kill, 'kill');
    },
    /** @param {string} key @param {import('../index.js').CallOptions} [options] */
    restart(key, options) {
      try {
        return forKey(key, signalOf(options), native.restart);
      } catch (error) {
        return Promise.reject(errors.unreadableFor(key, 'signal', error));
      }
    },
    /** @param {string} key @param {import('../index.js').ReplaceOptions} [options] */
    replace(key, options) {
      try {
        const { signal, drainMs } = readReplacement(options);
        assertKey(key);
        if (isDisposed) throw errors.disposed(key);
        core.handDown?.();
        return replaceTenant(key, signal, drainMs);
      } catch (error) {
        return Promise.reject(errors.unreadableFor(key, 'signal', error));
      }
    },
    /**
     * @param {string} key
     * @param {any} process
     * @param {import('../index.js').AdoptOptions} [options]
     */
    adopt(key, process, options) {
      try {
        assertKey(key);
        if (isDisposed) throw errors.disposed(key);
        return adopt(key, process, readAdoption(process, options));
      } catch (error) {
        return Promise.reject(errors.unreadableFor(key, 'process', error));
      }
    },
    /** @param {readonly string[]} keys */
    warm(keys) {
      const checked = keysAt(keys);
      if (isDisposed) throw errors.disposed('');
      if (board[BOARD_DRAINING] === 1) throw errors.draining('', 'warm');
      core.handDown?.();
      calls.passOn();
      for (const key of checked) native.warm(key);
      wake();
    },
    /** @param {string} key */
    clearBackoff(key) {
      if (typeof key === 'string') native.clearBackoff(key);
    },
    drain() {
      calls.passOn();
      native.drain();
      wake();
    },
    /** @returns {Promise<void>} */
    dispose() {
      // What was left to a later host is not this one's to stop.
      if (detachment !== undefined) return detachment;
      if (disposal !== undefined) return disposal;
      isDisposed = true;
      // Requests of a gateway may end before their tenants are stopped.
      const stop = () => calls.open('', (_, call) => native.dispose(call), 'dispose');
      const isAlone = core.gateways.size === 0 && core.fleet === undefined;
      disposal = isAlone
        ? stop()
        : closeGateways(core)
            .then(() => core.fleet?.close())
            .then(stop);
      // The operator sees how it ends.
      if (core.controls.size > 0)
        disposal = disposal.then(() => closeControls(core)).then(() => {});
      // If a process could not be stopped, the next call tries again.
      disposal.catch(() => (disposal = undefined));
      return disposal;
    },
    /** @returns {Promise<void>} */
    detach() {
      if (settings.survive === undefined) return Promise.reject(errors.nothingSurvives());
      if (isDisposed && detachment === undefined) return Promise.reject(errors.disposed(''));
      return leave();
    },
  };

  /** @param {string} key */
  function touch(key) {
    tenants.touch(key);
  }

  /** @param {string} key */
  function touchOrWake(key) {
    tenants.touch(key);
    // The pool sees no touch of a sleeper: its lease is closed.
    if (isClosed || !tenants.isClosed(key)) return;
    native.touch(key);
    wake();
  }

  function figures() {
    const failing = board[BOARD_FAILING] !== 0;
    return {
      running: /** @type {number} */ (board[BOARD_RUNNING]),
      total: /** @type {number} */ (board[BOARD_TOTAL]),
      draining: board[BOARD_DRAINING] === 1,
      backoff: failing ? native.backingOff() : 0,
    };
  }

  /**
   * @param {string} key
   * @param {AbortSignal | undefined} signal
   * @param {(key: string, call: number) => void} make
   * @returns {Promise<any>}
   */
  function forKey(key, signal, make) {
    try {
      assertKey(key);
    } catch (error) {
      return Promise.reject(error);
    }
    if (isDisposed) return Promise.reject(errors.disposed(key));
    if (core.handDown !== undefined && (make !== native.ensure || native.mayStart(key)))
      core.handDown();
    return signal === undefined ? calls.open(key, make) : abortable(key, signal, make);
  }

  /**
   * @param {string} key
   * @param {AbortSignal} signal
   * @param {(key: string, call: number) => void} make
   * @returns {Promise<any>}
   */
  function abortable(key, signal, make) {
    const noting = (/** @type {(call: number) => void} */ noted) =>
      calls.open(key, (_, call) => {
        noted(call);
        make(key, call);
      });
    return unlessAborted(key, signal, noting, (call, error) => giveUp(key, call, error));
  }

  /**
   * Aborts a call, and rejects its promise.
   * @param {string} key
   * @param {number} call
   * @param {Error} error
   */
  function giveUp(key, call, error) {
    const entry = calls.close(call);
    if (entry === undefined) return;
    native.abort(key, call);
    wake();
    if (entry.method === 'replace') core.onFailure?.({ type: entry.method, key, error });
    entry.reject(error);
  }

  /**
   * @param {string} key
   * @param {any} process
   * @param {ReturnType<typeof readAdoption>} how
   * @returns {Promise<import('../index.js').Tenant>}
   */
  function adopt(key, process, { port, host, startedAt, lastTouchedAt, startedMsAgo }) {
    const bornBefore = startedMsAgo === undefined ? undefined : native.sinceBootMs() - startedMsAgo;
    const watched = isBarePid(process)
      ? foreignProcess(core, key, process.pid, { bornBefore, resourceId: process.resourceId })
      : undefined;
    const taken = watched ?? usable(process, 'given to adopt', key);
    let number = 0;
    /** @type {Promise<import('../index.js').Tenant>} */
    const answer = calls.open(
      key,
      (_, call) => {
        number = call;
        adoptions.set(call, { process: watched ?? process, taken, port, host, startedAt });
        native.adopt(key, call, taken.pid, port, lastTouchedAt);
      },
      'adopt',
    );
    const gone = () => {
      // A process that Rust has taken in already ends as every tenant does.
      if (!adoptions.has(number) || !native.abort(key, number)) return;
      wake();
      calls.close(number)?.reject(errors.notAdopted(key, 'it has ended'));
    };
    taken.exited.then(gone, gone);
    answer.catch(() => {
      adoptions.delete(number);
      watched?.unwatch();
    });
    return answer;
  }

  // For gateways and controls: see `observe/core.js`.
  Object.defineProperty(runtime.list, Symbol.for('@absolutejs/runtime.core'), {
    value: () => ({ core, isDisposed }),
  });
  // Programs that list the members see those that they know.
  for (const name of ['warm', 'replace', 'detach'])
    Object.defineProperty(runtime, name, { enumerable: false });
  Object.defineProperty(runtime, 'recovered', { get: () => core.recovered ?? Promise.resolve() });
  if (settings.survive !== undefined) {
    // At once, since tenants that wait for a host of this name do not wait for its first request.
    core.recovered = calls.open('', (_, call) => native.recover(call), 'recover');
    // Each call that it fails is told.
    core.recovered.catch(() => {});
  }
  if (Symbol.asyncDispose) {
    Object.defineProperty(runtime, Symbol.asyncDispose, {
      value: runtime.dispose,
      enumerable: false,
    });
  }
  return /** @type {Runtime} */ (runtime);
}
