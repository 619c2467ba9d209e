/** Which processes are to replace one that serves, until they are ready or have ended. */

import { isServing } from './words.js';

/** @typedef {import('../../index.js').RuntimeTransitionEvent} TransitionEvent */

export class Replacements {
  /** By key. @type {Map<string, number>} */
  #pids = new Map();
  #inspect;

  /** @param {(key: string) => import('../../index.js').TenantStatus | null} inspect */
  constructor(inspect) {
    this.#inspect = inspect;
  }

  /**
   * Takes the next event, and returns whether it is one of such a process.
   * @param {TransitionEvent} event
   */
  take(event) {
    if (event.type === 'spawn') {
      const { key, pid } = event;
      const status = this.#inspect(key);
      const isOne = status !== null && isServing(status) && status.pid !== pid;
      if (isOne) this.#pids.set(key, pid);
      else this.#pids.delete(key);
      return isOne;
    }
    if (event.type !== 'ready' && event.type !== 'exit') return false;
    if (this.#pids.get(event.key) !== event.pid) return false;
    this.#pids.delete(event.key);
    return true;
  }
}
