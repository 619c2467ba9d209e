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

async function load() {
  return (tenancy = await import('#tenancy'));
}

/** @param {Core} core @returns {Inbox} */
export function createLateInbox(core) {
  /** @type {Inbox | undefined} */
  let inbox;
  /** @type {Error | undefined} */
  let failure;
  let begin = () => {};
  // What follows has the asynchronous context of this moment: that of the first caller would be kept for good.
  void new Promise((resolve) => (begin = () => resolve(undefined)))
    .then(() => tenancy ?? load())
    .then(({ openInbox }) => openInbox(core))
    .then(
      (opened) => (inbox = opened).rung(),
      (error) => {
        failure = incomplete(error);
        wait();
      },
    );
  function wait() {
    if (failure === undefined) begin();
    else core.calls.rejectAll(failure);
  }
  if (tenancy === undefined) setTimeout(begin).unref?.();
  return {
    rung: () => (inbox === undefined ? wait() : inbox.rung()),
    soon: (texts) => (inbox === undefined ? wait() : inbox.soon(texts)),
  };
}
