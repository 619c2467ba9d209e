// The calls that were made: each must settle, and each failure must be one that was to be expected.

const OVERDUE_MS = 60_000;

/** What may come of any call that something else gets in the way of. */
const CALLED_OFF = ['ERR_RUNTIME_EXITED_EARLY'];
/** What may come of a start beside processes that are killed or stopped by the machine's owner. */
const ROUGH = [
  'ERR_RUNTIME_EXITED_EARLY',
  'ERR_RUNTIME_SPAWN',
  'ERR_RUNTIME_BACKOFF',
  'ERR_RUNTIME_MAX_FAILURES',
];

/** @typedef {import('./kinds.mjs').Kind} Kind */

export class Calls {
  /** @type {Map<number, { what: string; since: number }>} */
  #pending = new Map();
  #last = 0;
  /** How often something was done to a tenant that calls off what others wait for. @type {Map<string, number>} */
  #disturbances = new Map();
  /** @type {Record<string, number>} */
  outcomes = {};
  /** The longest that a call took, in milliseconds. @type {Record<string, number>} */
  slowest = {};
  #violation;
  /** Whether wardens and keepers are killed. */
  isRough;

  /**
   * @param {(text: string) => void} violation
   * @param {boolean} isRough whether wardens and keepers are killed
   */
  constructor(violation, isRough) {
    this.#violation = violation;
    this.isRough = isRough;
  }

  get pending() {
    return this.#pending.size;
  }

  /** Something happens to the tenant now that may call others' starts off. @param {string} tenant */
  disturb(tenant) {
    this.#disturbances.set(tenant, (this.#disturbances.get(tenant) ?? 0) + 1);
  }

  /** @param {string} tenant */
  disturbancesOf(tenant) {
    return this.#disturbances.get(tenant) ?? 0;
  }

  /**
   * Waits for a call; undefined when it failed as it may.
   *
   * @template T
   * @param {string} operation
   * @param {Kind} kind
   * @param {string} tenant
   * @param {Promise<T>} promise
   * @param {readonly string[]} [also] codes that this call may fail with
   * @returns {Promise<T | undefined>}
   */
  async track(operation, kind, tenant, promise, also = []) {
    const id = ++this.#last;
    const before = this.disturbancesOf(tenant);
    const since = performance.now();
    this.#pending.set(id, { what: `${operation} of ${tenant}`, since });
    try {
      return await promise;
    } catch (error) {
      const { code = 'none', message } = /** @type {{ code?: string; message: string }} */ (error);
      const expected = [
        ...(kind.fails ?? []),
        ...also,
        ...(this.disturbancesOf(tenant) > before ? CALLED_OFF : []),
        ...(this.isRough ? ROUGH : []),
      ];
      this.note(`${operation} ${kind.name} ${code}`);
      if (!expected.includes(code)) {
        this.#violation(`${operation} of ${tenant} failed with ${code}: ${String(message).slice(0, 300)}`);
      }
      return undefined;
    } finally {
      this.#pending.delete(id);
      const tookMs = Math.round(performance.now() - since);
      this.slowest[operation] = Math.max(this.slowest[operation] ?? 0, tookMs);
    }
  }

  /** @param {string} outcome */
  note(outcome) {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
  }

  /** Those that should have settled long ago; each is told once. */
  tellOverdue(overdueMs = OVERDUE_MS) {
    const now = performance.now();
    for (const [id, { what, since }] of this.#pending) {
      if (now - since < overdueMs) continue;
      this.#pending.delete(id);
      this.#violation(`${what} has not settled in ${Math.round((now - since) / 1000)} s`);
    }
  }
}
