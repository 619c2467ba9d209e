/** Calls that have been made and not yet answered. While there are any, the host process stays alive. */

/** So long that it never fires; its being there is what counts. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function createCalls() {
  /** @type {Map<number, { key: string, resolve: (value: any) => void, reject: (error: unknown) => void }>} */
  const pending = new Map();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let keepAlive;
  let last = 0;

  return {
    /**
     * A promise for the answer. `make` gets the call's number; if it throws, the promise rejects.
     * @template T
     * @param {string} key
     * @param {(call: number) => void} make
     * @returns {Promise<T>}
     */
    open(key, make) {
      const call = ++last;
      return new Promise((resolve, reject) => {
        pending.set(call, { key, resolve, reject });
        keepAlive ??= setInterval(() => {}, LONGEST_TIMER_MS);
        try {
          make(call);
        } catch (error) {
          this.close(call);
          reject(error);
        }
      });
    },

    /** Takes a call out, to be answered. @param {number} call */
    close(call) {
      const entry = pending.get(call);
      pending.delete(call);
      if (pending.size === 0) {
        clearInterval(keepAlive);
        keepAlive = undefined;
      }
      return entry;
    },

    /** Nothing is left that a call could wait for. */
    resolveAll() {
      for (const call of [...pending.keys()]) this.close(call)?.resolve(undefined);
    },
  };
}

/** @typedef {ReturnType<typeof createCalls>} Calls */
