/**
 * The inbox of a runtime before it is used. What takes a batch and acts on it is half of the package's code, and no program
 * needs it before it has asked for a tenant: it is loaded with the first call, or when the program that has created the
 * runtime has nothing else to do, whichever comes first.
 */
import { partNotLoaded } from './errors.js';

/** @typedef {import('./runtime.js').Core} Core */
/** @typedef {import('./inbox.js').Inbox} Inbox */

/** Once it is there, no runtime waits for it any more. @type {typeof import('./tenancy.js') | undefined} */
let tenancy;

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
      core.calls.rejectAll(partNotLoaded(error));
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
