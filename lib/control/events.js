/** What has happened: the latest events of the host, and of each tenant. */

/** How many events there are in all, and of one tenant. */
const MOST = 2_000;
const MOST_OF_ONE = 50;

/**
 * @typedef {{ seq: number, at: number, type: string, key: string | null, text: string } &
 *   Record<string, unknown>} ControlEvent
 */

export function createEvents() {
  /** @type {ControlEvent[]} */
  let all = [];
  /** @type {Map<string, ControlEvent[]>} */
  const byKey = new Map();
  /** @type {Set<(event: ControlEvent) => void>} */
  const followers = new Set();
  let seq = 0;

  return {
    /**
     * @param {string} type
     * @param {string | null} key
     * @param {string} text
     * @param {Record<string, unknown>} [fields] beside these
     * @returns {ControlEvent}
     */
    add(type, key, text, fields = {}) {
      const event = { seq: ++seq, at: Date.now(), type, key, text, ...fields };
      all.push(event);
      // Cut once in a while, so that it costs nothing each time.
      if (all.length >= 2 * MOST) all = all.slice(-MOST);
      if (key !== null) {
        const its = byKey.get(key) ?? [];
        its.push(event);
        if (its.length > MOST_OF_ONE) its.shift();
        byKey.set(key, its);
      }
      for (const follower of followers) follower(event);
      return event;
    },
    /**
     * @param {{ keys?: readonly string[], n: number, since?: number, after?: number }} query
     * @returns {ControlEvent[]} the oldest first
     */
    find({ keys = [], n, since = -Infinity, after = -Infinity }) {
      const those =
        keys.length === 1
          ? (byKey.get(/** @type {string} */ (keys[0])) ?? [])
          : all.slice(-MOST).filter(({ key }) => keys.length === 0 || keys.includes(key ?? ''));
      const found = those.filter((event) => event.at >= since && event.seq > after);
      return n === 0 ? [] : found.slice(-n);
    },
    /** @param {(event: ControlEvent) => void} follower @returns {() => void} ends it */
    follow(follower) {
      followers.add(follower);
      return () => void followers.delete(follower);
    },
    /** @param {string} key */
    forget: (key) => void byKey.delete(key),
  };
}

/** @typedef {ReturnType<typeof createEvents>} Events */
