/**
 * The inbox of a runtime before it is used. What takes a batch and acts on it is half of the package's code, and no program
 * needs it before it has asked for a tenant: it is loaded with the first call, or when the program that has created the
 * runtime has nothing else to do, whichever comes first.
 */
import { partNotLoaded } from '../errors.js';

/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../bridge/inbox.js').Inbox} Inbox */

/** Once it is there, no runtime waits for it any more. @type {typeof import('../tenancy.js') | undefined} */
let tenancy;

/**
 * No call can be answered: starts are refused and taken back. Each process is launched by what could not be loaded, so there
 * is none to end, and `kill` and `dispose` have done their work.
 * @param {Core} core
 * @param {unknown} cause
 */
function giveUp({ calls, native, close }, cause) {
  let isDisposed = false;
  for (const [call, { key, method }] of calls.waiting()) {
    if (method === 'kill' || method === 'dispose') {
      isDisposed ||= method === 'dispose';
      calls.close(call)?.resolve(undefined);
    } else {
      native.abort(key, call);
      calls.close(call)?.reject(partNotLoaded(cause, key));
    }
  }
  if (isDisposed) close();
}

/** @param {Core} core @param {(inbox: Inbox) => void} replaceBy @returns {Inbox} */
export function createLateInbox(core, replaceBy) {
  let begin = () => {};
  /** @type {Promise<boolean>} */
  let opened;
  prepare();
  if (tenancy === undefined) setTimeout(() => begin()).unref?.();

  /** `open` has the asynchronous context of this moment: that of the first caller would be kept for good. */
  function prepare() {
    opened = new Promise((resolve) => (begin = () => resolve(undefined))).then(open);
  }

  /** Whether it worked. If not, the next call tries again. */
  async function open() {
    try {
      tenancy ??= await import('#tenancy');
      replaceBy(await tenancy.openInbox(core));
      return true;
    } catch (error) {
      prepare();
      giveUp(core, error);
      return false;
    }
  }

  /** Looks then in the asynchronous context of this caller, as later calls do. */
  function wait() {
    begin();
    void opened.then((isOpen) => isOpen && core.wake());
  }
  return { rung: wait, soon: wait };
}
