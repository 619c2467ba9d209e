/**
 * The inbox of a runtime until its first use. The code that takes batches and handles their
 * records is half of the package, and a program needs it only for tenants. So it is loaded at the
 * first call, or when the program that has created the runtime is idle, whichever comes first.
 */
import { partNotLoaded } from '../errors.js';

/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../bridge/inbox.js').Inbox} Inbox */

/**
 * The loaded part, which all runtimes share.
 * @type {typeof import('../tenancy.js') | undefined}
 */
let tenancy;

/**
 * Answers all calls after the part could not be loaded. Starts are aborted and refused. That part
 * launches all processes, so there is none to stop, and `kill` and `dispose` resolve.
 * @param {Core} core
 * @param {unknown} cause
 */
function answerWithoutPart({ calls, native, close }, cause) {
  let isDisposed = false;
  for (const [call, { key, method }] of calls.waiting()) {
    if (method === 'kill' || method === 'dispose' || method === 'detach') {
      isDisposed ||= method === 'dispose';
      calls.close(call)?.resolve(undefined);
    } else {
      native.abort(key, call);
      calls.close(call)?.reject(partNotLoaded(cause, key));
    }
  }
  if (isDisposed) close();
}

/**
 * An inbox that loads the real one at its first use, and then hands it to `replaceBy`.
 * @param {Core} core
 * @param {(inbox: Inbox) => void} replaceBy
 * @returns {Inbox}
 */
export function createLazyInbox(core, replaceBy) {
  let begin = () => {};
  /** @type {Promise<boolean>} */
  let opened;
  prepare();
  if (tenancy === undefined) setTimeout(() => begin()).unref?.();

  /**
   * Fixes the asynchronous context that `open` runs in. The context of the first caller would be
   * kept as long as the runtime.
   */
  function prepare() {
    opened = new Promise((resolve) => (begin = () => resolve(undefined))).then(open);
  }

  /** Loads the part. Returns whether that worked; if not, the next call tries again. */
  async function open() {
    try {
      tenancy ??= await import('#tenancy');
      replaceBy(await tenancy.openInbox(core));
      return true;
    } catch (error) {
      prepare();
      answerWithoutPart(core, error);
      return false;
    }
  }

  /** Wakes the real inbox, once loaded, in the asynchronous context of this caller. */
  function wait() {
    begin();
    void opened.then((isOpen) => isOpen && core.wake());
  }
  return { rung: wait, soon: wait };
}
