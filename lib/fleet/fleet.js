/** `createFleet`: the public object of a host's part in a fleet. */
import { assertKey } from '../checks.js';
import { cannotListen, isRuntimeError, notPlaced } from '../errors.js';
import { createAnswers } from './operators.js';
import { readOptions } from './options.js';

/** @typedef {import('../../fleet.js').Fleet} Fleet */
/** @typedef {import('../../fleet.js').FleetEvent} FleetEvent */

/** A timer that never fires. */
const LONGEST_MS = 2 ** 31 - 1;
/** How often a key may change hands while it is looked for. */
const MOST_TRIES = 3;

/**
 * What `ensure` is told: the host that serves the key, which may be this one.
 * @typedef {{ isHere: boolean, host: string, address: string, epoch: string }} Placed
 */

/**
 * @param {import('../../fleet.js').FleetOptions} options
 * @returns {Fleet}
 */
export function createFleet(options) {
  const settings = readOptions(options);
  const { core, runtime } = settings;
  const joined = withResolvers();
  const closed = withResolvers();
  const drained = withResolvers();
  /** Calls of `ensure` and questions that wait, by ticket. @type {Map<number, ReturnType<typeof withResolvers>>} */
  const asked = new Map();
  let tickets = 0;
  let isClosing = false;
  let isDraining = false;
  // For starts that requests lead to: what only JavaScript knows of the host is handed down.
  core.handDown?.();
  const { id } = settings.native.host;
  core.fleet = { id, where, hosts, claims, ask, drain, close };
  const answer = createAnswers({
    runtime,
    drain(from) {
      tell({ kind: 'drain-asked', host: from, at: Date.now() });
      if (core.drainHost === undefined) void drain();
      else core.drainHost(from);
    },
  });
  /** @type {any} */
  let native;
  try {
    core.native.admitOnly();
    native = core.native.openFleet(settings.native, noticed);
  } catch (error) {
    core.fleet = undefined;
    throw error;
  }
  // It keeps the event loop alive until the fleet is closed, and never fires.
  const keepAlive = setInterval(() => {}, LONGEST_MS);
  core.wake();

  /** What Rust tells. @param {any} notice */
  function noticed(notice) {
    const { kind, ticket } = notice;
    switch (kind) {
      case 'joined':
        return joined.resolve();
      case 'notJoined': {
        const error = cannotListen(notice.problem, notice.code);
        joined.reject(error);
        return ended(error);
      }
      case 'placed':
        return takeAsked(ticket)?.resolve(notice.place);
      case 'notPlaced':
        return takeAsked(ticket)?.reject(notPlaced(notice.key, notice.why, notice.retryAfterMs));
      case 'asked':
        return native.reply(ticket, answer(notice.question, notice.host));
      case 'answered':
        return takeAsked(ticket)?.resolve(notice.text);
      case 'notAnswered':
        return takeAsked(ticket)?.reject(new Error(notice.problem));
      case 'drained':
        return drained.resolve();
      case 'closed':
        return ended(undefined);
      case 'event':
        return tell(notice.event);
    }
  }

  /** @param {number} ticket */
  function takeAsked(ticket) {
    const waiting = asked.get(ticket);
    asked.delete(ticket);
    return waiting;
  }

  /** What the user's function throws is ignored. @param {FleetEvent} event */
  function tell(event) {
    try {
      settings.onEvent?.(event);
    } catch {
      // As for the other callbacks.
    }
  }

  /** Nothing will be told any more. @param {unknown} error */
  function ended(error) {
    isClosing = true;
    clearInterval(keepAlive);
    core.fleet = undefined;
    for (const waiting of asked.values()) waiting.reject(error ?? notPlaced('', 'closing', 0));
    asked.clear();
    drained.resolve();
    closed.resolve();
  }

  /** @param {string} key @returns {Promise<Placed>} */
  function place(key) {
    if (isClosing) return Promise.reject(notPlaced(key, 'closing', 0));
    return answerTo((ticket) => native.ensure(ticket, key));
  }

  /** @param {(ticket: number) => void} begin @returns {Promise<any>} */
  function answerTo(begin) {
    const waiting = withResolvers();
    tickets += 1;
    asked.set(tickets, waiting);
    begin(tickets);
    return waiting.promise;
  }

  /**
   * Asks a host of the fleet, which may be this one, what `operators.js` has the answers to.
   * @param {string} host
   * @param {string} question
   * @returns {Promise<any>}
   */
  async function ask(host, question) {
    const text =
      host === id
        ? answer(question, id)
        : await answerTo((ticket) => native.ask(ticket, host, question));
    return JSON.parse(text);
  }

  /** @param {string} key */
  async function ensure(key) {
    assertKey(key);
    for (let tries = 1; ; tries += 1) {
      const { isHere, ...where } = await place(key);
      if (!isHere) return where;
      try {
        const { port } = await runtime.ensure(key);
        return { ...where, port };
      } catch (error) {
        // It has passed to another host meanwhile.
        if (tries === MOST_TRIES || !isRuntimeError(error, 'ERR_RUNTIME_NOT_CLAIMED')) throw error;
      }
    }
  }

  /** @param {string} key */
  function where(key) {
    return native === undefined ? null : native.where(`${key}`);
  }

  /** @returns {import('../../fleet.js').FleetHost[]} */
  function hosts() {
    return native?.hosts() ?? [];
  }

  /** @param {readonly string[]} keys none: all of them */
  function claims(keys) {
    return native?.claims(keys) ?? [];
  }

  /** @returns {Promise<void>} */
  function drain() {
    if (!isDraining && !isClosing) native.drain();
    isDraining = true;
    return isClosing ? closed.promise : drained.promise;
  }

  /** @returns {Promise<void>} */
  async function close() {
    if (!isClosing) {
      isClosing = true;
      native.close();
    }
    return closed.promise;
  }

  const fleet = {
    joined: /** @type {Promise<void>} */ (joined.promise),
    ensure,
    where,
    hosts,
    drain,
    close,
  };
  if (Symbol.asyncDispose) {
    Object.defineProperty(fleet, Symbol.asyncDispose, { value: close, enumerable: false });
  }
  return /** @type {Fleet} */ (fleet);
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers() {
  /** @type {(value?: any) => void} */
  let resolve = () => {};
  /** @type {(error: unknown) => void} */
  let reject = () => {};
  const promise = new Promise((fulfil, refuse) => ([resolve, reject] = [fulfil, refuse]));
  return { promise, resolve, reject };
}
