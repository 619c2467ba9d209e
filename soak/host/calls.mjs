// The calls that were made. Each must settle, and may fail only with codes that its circumstances
// explain.

const OVERDUE_MS = 60_000;

/** Codes of a call whose start another operation has cancelled. */
const CANCELLED_CODES = ['ERR_RUNTIME_EXITED_EARLY'];
/** Codes of a start in a host whose warden and keepers are killed and stopped. */
const LOST_HELPER_CODES = [
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
  /**
   * By tenant: how many operations may have cancelled starts that other calls wait for.
   * @type {Map<string, number>}
   */
  #cancellations = new Map();
  /** @type {Record<string, number>} */
  outcomes = {};
  /** The longest call of each operation, in milliseconds. @type {Record<string, number>} */
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

  /**
   * To be called before and after an operation that may cancel starts of the tenant.
   * @param {string} tenant
   */
  mayCancel(tenant) {
    this.#cancellations.set(tenant, (this.#cancellations.get(tenant) ?? 0) + 1);
  }

  /** @param {string} tenant */
  cancellationsOf(tenant) {
    return this.#cancellations.get(tenant) ?? 0;
  }

  /**
   * Waits for a call; undefined when it failed with an expected code.
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
    const before = this.cancellationsOf(tenant);
    const since = performance.now();
    this.#pending.set(id, { what: `${operation} of ${tenant}`, since });
    try {
      return await promise;
    } catch (error) {
      const { code = 'none', message } = /** @type {{ code?: string; message: string }} */ (error);
      const expected = [
        ...(kind.fails ?? []),
        ...also,
        ...(this.cancellationsOf(tenant) > before ? CANCELLED_CODES : []),
        ...(this.isRough ? LOST_HELPER_CODES : []),
      ];
      this.note(`${operation} ${kind.name} ${code}`);
      if (!expected.includes(code)) {
        this.#violation(
          `${operation} of ${tenant} failed with ${code}: ${String(message).slice(0, 300)}`,
        );
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

  /** Reports calls that should have settled long ago, each once. */
  reportOverdue(overdueMs = OVERDUE_MS) {
    const now = performance.now();
    for (const [id, { what, since }] of this.#pending) {
      if (now - since < overdueMs) continue;
      this.#pending.delete(id);
      this.#violation(`${what} has not settled in ${Math.round((now - since) / 1000)} s`);
    }
  }
}
