/**
 * The inbox of a runtime before it is used. What takes a batch and acts on it is half of the package's code, and no program
 * needs it before it has asked for a tenant: it is loaded with the first call, or when the program that has created the
 * runtime has nothing else to do, whichever comes first.
 */
import { incomplete } from './errors.js';

/** @typedef {import('./runtime.js').Core} Core */
/** @typedef {import('./inbox.js').Inbox} Inbox */

/** Once it is there, no runtime waits for it any more. @type {typeof import('./tenancy.js') | undefined} */
let tenancy;

/** @param {Core} core @param {(inbox: Inbox) => void} replaceBy @returns {Inbox} */
export function createLateInbox(core, replaceBy) {
  /** @type {Error | undefined} */
  let failure;
  let begin = () => {};
  // `open` has the asynchronous context of this moment: that of the first caller would be kept for good.
  void new Promise((resolve) => (begin = () => resolve(undefined))).then(open);
  if (tenancy === undefined) setTimeout(begin).unref?.();

  async function open() {
    try {
      tenancy ??= await import('#tenancy');
      replaceBy(await tenancy.openInbox(core));
    } catch (error) {
      failure = incomplete(error);
    }
    core.wake();
  }

  function wait() {
    if (failure === undefined) begin();
    else core.calls.rejectAll(failure);
  }
  return { rung: wait, soon: wait };
}
