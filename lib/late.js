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

/** @param {Core} core @returns {Inbox} */
export function createLateInbox(core) {
  /** @type {Inbox | undefined} */
  let inbox;
  /** @type {Error | undefined} */
  let failure;
  let begin = () => {};
  // `open` has the asynchronous context of this moment: that of the first caller would be kept for good.
  void new Promise((resolve) => (begin = () => resolve(undefined))).then(open);
  if (tenancy === undefined) setTimeout(begin).unref?.();

  async function open() {
    try {
      tenancy ??= await import('#tenancy');
      inbox = await tenancy.openInbox(core);
    } catch (error) {
      failure = incomplete(error);
    }
    look();
  }

  /** @param {import('./batch.js').Texts} [texts] */
  function look(texts) {
    if (inbox !== undefined) inbox.soon(texts);
    else if (failure !== undefined) core.calls.rejectAll(failure);
    else begin();
  }

  return { rung: () => (inbox === undefined ? look() : inbox.rung()), soon: look };
}
