/** All that a control knows and can do, for the API: in one object. */
import { isKey, isKnownDirectory } from './directories.js';
import { createFleetView } from './fleet.js';
import { closeGateway, countBrokenOff, GRACE_MS, passOn } from './last-requests.js';
import { Refusal, refusalOf } from './refusal.js';
import { inTerms } from './terms.js';

/** @typedef {import('../../control.js').ControlHost} ControlHost */

/** The lines that come with a tenant. */
const LAST_LINES = 20;
const TIMELINE = 50;
/** States of a tenant that has a process, or is about to have one. */
const COMING_UP = ['queued', 'spawning'];
const UP = [...COMING_UP, 'ready', 'asleep', 'stopping', 'stuck'];

export const ACTIONS = /** @type {const} */ (['start', 'stop', 'restart', 'replace', 'clear']);
/** @typedef {(typeof ACTIONS)[number]} Action */

/**
 * @param {object} given
 * @param {import('../../index.js').Runtime} given.runtime
 * @param {import('../runtime.js').Core} given.core
 * @param {readonly import('../../gateway.js').Gateway[]} given.gateways
 * @param {import('./board.js').Board} given.board
 * @param {import('./events.js').Events} given.events
 * @param {import('./logs.js').Logs} given.logs
 * @param {() => ControlHost} given.host
 * @param {import('./terms.js').OptionName} given.optionName
 */
export function createView(given) {
  const { runtime, core, gateways, board, events, logs, host, optionName } = given;
  const drained = Promise.withResolvers?.() ?? withResolvers();
  let isDraining = false;

  /**
   * @param {string} key
   * @param {boolean} [mayBeNew] a `spawn` of the user's may know keys that were not seen yet
   */
  async function requireTenant(key, mayBeNew = false) {
    await board.fresh();
    if (board.tenant(key) !== undefined) return;
    const { root, spawn } = core.settings;
    const isNew = mayBeNew && spawn !== undefined;
    const isThere = isKey(key) && (isNew || (await isKnownDirectory(root, key)));
    if (isThere) board.add(key);
    else throw new Refusal(404, 'NOT_FOUND', `there is no tenant ${shownKey(key)}`, { key });
  }

  /** @type {Record<Action, (key: string) => unknown>} */
  const actions = {
    start: (key) => runtime.ensure(key),
    stop: (key) => runtime.kill(key),
    restart: (key) => runtime.restart(key),
    replace: (key) => runtime.replace(key),
    clear(key) {
      runtime.clearBackoff(key);
      board.cleared(key);
    },
  };

  /**
   * In a fleet, others have the tenants first. Gateways close last: until then they answer what comes
   * with 503. What could not be stopped is told by `dispose`.
   */
  async function drain() {
    if (core.fleet !== undefined) await passOn(core.fleet);
    runtime.drain();
    const up = runtime.list().filter(({ state }) => UP.includes(state));
    const ended = await Promise.allSettled(up.map(end));
    const counts = ended.map((one) => (one.status === 'fulfilled' ? one.value : 0));
    counts.push(...(await Promise.all(gateways.map((one) => closeGateway(one, GRACE_MS)))));
    await runtime.dispose();
    return { brokenOff: counts.reduce((sum, count) => sum + count, 0) };
  }

  /**
   * Ends the host's work in order. Returns at once.
   * @param {string} [from] the host of the fleet that asks for it
   */
  function beginToDrain(from) {
    if (isDraining) return;
    isDraining = true;
    if (from !== undefined) events.add('host', null, `drains, as host ${from} asks`);
    drain().then(drained.resolve, (error) => {
      // Processes that could not be stopped are still tracked, and it may be tried again.
      isDraining = false;
      events.add('host', null, `could not end: ${error.message}`, { code: error.code });
    });
  }

  /**
   * Ends a tenant once its open requests are over, or their time is up. Returns how many were broken
   * off then. Who waits for its start is answered first.
   * @param {{ key: string, state: string }} tenant
   */
  async function end({ key, state }) {
    if (COMING_UP.includes(state)) await runtime.ensure(key).catch(() => {});
    let least = Infinity;
    const open = () => {
      const now = gateways.map((gateway) => gateway.stats().byKey(key).inFlight);
      // Its own become fewer: what comes meanwhile is being refused.
      least = Math.min(
        least,
        now.reduce((sum, count) => sum + count, 0),
      );
      return least;
    };
    if (open() === 0) {
      await runtime.kill(key);
      return 0;
    }
    // The longest time of the runtime's gateways counts.
    const drainMs = Math.max(0, ...core.gateways.values());
    return countBrokenOff(open, drainMs, () => runtime.kill(key));
  }

  return {
    board,
    events,
    logs,
    /** The engine's figures say only later that it drains. */
    host() {
      const now = host();
      return isDraining ? { ...now, runtime: { ...now.runtime, draining: true } } : now;
    },
    fleet: createFleetView(core, beginToDrain),
    drained: /** @type {Promise<{ brokenOff: number }>} */ (drained.promise),
    requireTenant,
    /** Ends each stream that is open. @type {Set<() => void>} */
    streams: new Set(),
    /** @param {string} key of a tenant that is there */
    detail: (key) => ({
      ...board.tenant(key),
      timeline: events.find({ keys: [key], n: TIMELINE }),
      figures: board.figures(key),
      lastLines: logs.last(key, LAST_LINES),
    }),
    /**
     * Does it, and says what the tenant then is. Goes on if the client goes away meanwhile.
     * @param {string} key
     * @param {Action} action
     */
    async act(key, action) {
      await requireTenant(key, action === 'start');
      try {
        await actions[action](key);
      } catch (error) {
        const { status, code, message, headers } = refusalOf(error);
        throw new Refusal(status, code, inTerms(message, optionName, key), { key, headers });
      } finally {
        board.changed();
      }
      await board.fresh();
      return board.tenant(key) ?? null;
    },
    drain: beginToDrain,
  };
}

/** @typedef {ReturnType<typeof createView>} View */

/** @param {string} key */
const shownKey = (key) => JSON.stringify(key.slice(0, 80));

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers() {
  /** @type {(value?: any) => void} */
  let resolve = () => {};
  const promise = new Promise((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}
