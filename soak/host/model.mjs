// A model of one runtime, which checks every event as it comes.
//
// Per key `spawn` (or `adopt`) → metric `spawn` → `ready` → … → `exit`; exactly one exit for each;
// nothing about a pid after its exit; all lines before it, each once and in order; CPU time that
// never falls; no two live tenants on one port.

/**
 * @typedef {object} Run
 * @property {number} pid
 * @property {number} port
 * @property {'spawned' | 'ready'} state
 * @property {boolean} measured whether the metric `spawn` has come
 * @property {number} leavingSince when an `idle-kill` or `lru-evict` came; 0 without one
 * @property {boolean} mayRefuse whether a stop of it is given up after a while, and it is ready
 * again
 * @property {[number, number]} lines on stdout and stderr so far
 * @property {string} cut the last line, if it was no whole line of the tenant's: only the last may
 * be cut
 * @property {number | undefined} written how many lines the tenant says that it has written
 * @property {number} cpuMs
 * @property {number} observations
 * @property {boolean} isEating whether it takes more memory than it may: nothing else crashes it
 */

/** @typedef {import('@absolutejs/runtime').RuntimeTransitionEvent} Transition */

/** Lines that tenants write besides numbered ones, and lines that engines and the runtime add. */
const OTHER_LINES = /^(?:terms 1$|\$ |error: |\[…? ?\d+ lines?|Bun v|\s|\d+ \||$)/;

/** How many evictions, and which share of them, may seem out of order: see `checkEvictions`. */
const MAX_OUT_OF_ORDER = 6;
const MAX_OUT_OF_ORDER_RATIO = 0.02;

/** The longest time from the choice of a victim until its `lru-evict`, on a busy machine. */
const EVICTION_DELAY_MS = 1_000;

/** A refused stop is given up no sooner: twice the `stopTimeoutMs` of all runtimes here. */
const GIVEN_UP_AFTER_MS = 600;

/** Reasons of stops that the runtime makes: it takes an observation right before. */
const STOPPED = new Set([
  'killed',
  'restarted',
  'replaced',
  'disposed',
  'idle-killed',
  'lru-evicted',
  'moved',
  'fenced',
]);

/** Live tenants by port, in all runtimes of the host. @type {Map<number, string>} */
const ports = new Map();

export class Model {
  /** @type {Map<string, Run>} */
  runs = new Map();
  counts = { spawns: 0, adopts: 0, readies: 0, exits: 0, lines: 0, observations: 0 };
  /** @type {Record<string, number>} */
  reasons = {};
  /**
   * The runtime's `list`, if the order of its evictions is to be checked.
   * @type {(() => import('@absolutejs/runtime').TenantStatus[]) | undefined}
   */
  list;
  /** Victims that seem not to have been the least recently active. @type {string[]} */
  outOfOrder = [];
  /**
   * By key: when the tenant was about to be touched, and its last activity before that.
   * @type {Map<string, { at: number; from: number }[]>}
   */
  #touches = new Map();
  #name;
  #violation;
  /** @type {(key: string) => import("./kinds.mjs").Kind} */
  #kindOf;
  #isRough;

  /**
   * @param {string} name of the runtime
   * @param {(text: string) => void} violation called with each rule that does not hold
   * @param {(key: string) => import('./kinds.mjs').Kind} kindOf
   * @param {boolean} isRough whether wardens and keepers are killed
   */
  constructor(name, violation, kindOf, isRough) {
    this.#name = name;
    this.#violation = (/** @type {string} */ text) => violation(`${name}: ${text}`);
    this.#kindOf = kindOf;
    this.#isRough = isRough;
  }

  /** To be spread into the options of the runtime. */
  callbacks = {
    /** @param {import('@absolutejs/runtime').RuntimeLogEvent} event */
    onLog: (event) => this.#line(event),
    /** @param {import('@absolutejs/runtime').RuntimeMetricEvent} event */
    onMetrics: (event) => this.#metric(event),
    /** @param {Transition} event */
    onTransition: (event) => this.#transition(event),
  };

  /** @param {Transition} event */
  #transition(event) {
    if (!('pid' in event)) return;
    const { key, pid, type } = event;
    const run = this.runs.get(key);
    if (type === 'spawn' || type === 'adopt' || type === 'restored') {
      if (run) this.#violation(`${type} of ${key} (${pid}) before the exit of ${run.pid}`);
      if (type === 'spawn') this.counts.spawns++;
      else this.counts.adopts++;
      const state = type === 'spawn' ? 'spawned' : 'ready';
      this.runs.set(key, {
        pid,
        port: event.port,
        state,
        measured: type !== 'spawn',
        leavingSince: 0,
        mayRefuse: type !== 'spawn',
        lines: [0, 0],
        cut: '',
        written: undefined,
        cpuMs: 0,
        observations: 0,
        isEating: false,
      });
      // An adopted process chose its port itself: it may be another's.
      if (type === 'spawn') this.#takePort(event.port, `${this.#name}/${key} ${pid}`);
      return;
    }
    if (run?.pid !== pid) {
      this.#violation(`${type} of ${key} (${pid}), whose process is ${run?.pid ?? 'none'}`);
      return;
    }
    if (type === 'ready') {
      this.counts.readies++;
      if (run.state !== 'spawned') this.#violation(`a second ready of ${key} (${pid})`);
      if (!run.measured) this.#violation(`ready of ${key} (${pid}) before its metric`);
      run.state = 'ready';
    } else if (type === 'exit') {
      this.#exit(event, run);
    } else if (type === 'lru-evict' && !this.#isLeastRecentlyActive(key)) {
      this.outOfOrder.push(`${key} (${pid})`);
      run.leavingSince = Date.now();
    } else if (run.state !== 'ready' || this.#isLeaving(run)) {
      this.#violation(
        `${type} of ${key} (${pid}), which is ${run.leavingSince ? 'leaving' : run.state}`,
      );
    } else {
      run.leavingSince = Date.now();
    }
  }

  /** @param {Run} run */
  #isLeaving({ leavingSince, mayRefuse }) {
    if (leavingSince === 0) return false;
    return !(mayRefuse && Date.now() - leavingSince > GIVEN_UP_AFTER_MS);
  }

  /**
   * To be called at the end. A victim is chosen a moment before its event, so a few may seem out
   * of order: all that were alive, where the machine held the host up once.
   */
  checkEvictions() {
    const [first, ...others] = this.outOfOrder;
    const allowed = MAX_OUT_OF_ORDER + MAX_OUT_OF_ORDER_RATIO * (this.reasons['lru-evicted'] ?? 0);
    if (this.outOfOrder.length > allowed) {
      this.#violation(
        `${first} and ${others.length} others made room, and others were active less recently`,
      );
    }
  }

  /**
   * To be called before a tenant is touched: it may have been chosen as a victim a moment ago.
   * @param {string} key
   */
  willBeTouched(key) {
    if (!this.list) return;
    const from = this.list().find((status) => status.key === key)?.lastTouchedAt ?? 0;
    const recent = (this.#touches.get(key) ?? []).filter(
      ({ at }) => at > Date.now() - EVICTION_DELAY_MS,
    );
    this.#touches.set(key, [...recent, { at: Date.now(), from }]);
  }

  /**
   * Compares with the victim's last activity before touches that may be later than the choice.
   * (Later touches of other tenants cannot make the choice seem wrong.)
   * @param {string} victim
   */
  #isLeastRecentlyActive(victim) {
    const statuses = this.list?.() ?? [];
    const now = statuses.find(({ key }) => key === victim)?.lastTouchedAt ?? 0;
    const recent = (this.#touches.get(victim) ?? []).filter(
      ({ at }) => at > Date.now() - EVICTION_DELAY_MS,
    );
    const touchedAt = Math.min(now, ...recent.map(({ from }) => from));
    return statuses.every(
      ({ state, lastTouchedAt }) => state !== 'ready' || (lastTouchedAt ?? 0) >= touchedAt,
    );
  }

  /** @param {Extract<Transition, { type: 'exit' }>} event @param {Run} run */
  #exit({ key, pid, reason, limit }, run) {
    this.counts.exits++;
    const why = limit ? `${reason} (${limit})` : reason;
    this.reasons[why] = (this.reasons[why] ?? 0) + 1;
    if (run.isEating && reason === 'crashed' && limit !== 'memory' && !this.#isRough)
      this.#violation(`${key} (${pid}) ran out of memory, and its exit does not say so`);
    if (limit && !run.isEating)
      this.#violation(`${key} (${pid}) is said to have run out of ${limit}`);
    this.runs.delete(key);
    if (ports.get(run.port) === `${this.#name}/${key} ${pid}`) ports.delete(run.port);
    const isOfUsers = this.#name === 'own' || this.#name === 'adopting';
    if (isOfUsers && run.state === 'ready' && STOPPED.has(reason) && run.observations === 0) {
      this.#violation(`${key} (${pid}) was stopped (${reason}) without a last observation`);
    }
    const [out, err] = run.lines;
    const lines = out + err;
    const [leastOut, leastErr] = (run.state === 'ready' && this.#kindOf(key).says) || [0, 0];
    if (out < leastOut || err < leastErr) {
      this.#violation(
        `${key} (${pid}) was ready, and only lines ${out} and ${err} of it have come`,
      );
    }
    if (run.written !== undefined && run.written !== lines) {
      this.#violation(`${key} (${pid}) wrote ${run.written} lines, and ${lines} have come`);
    }
  }

  /** @param {number} port @param {string} owner */
  #takePort(port, owner) {
    const other = ports.get(port);
    if (other) this.#violation(`port ${port} of ${owner} is that of ${other}`);
    ports.set(port, owner);
  }

  /** @param {import('@absolutejs/runtime').RuntimeMetricEvent} event */
  #metric(event) {
    const { key, pid, type } = event;
    const run = this.runs.get(key);
    if (run?.pid !== pid) {
      this.#violation(`metric ${type} of ${key} (${pid}), whose process is ${run?.pid ?? 'none'}`);
    } else if (type === 'spawn') {
      if (run.measured) this.#violation(`a second metric spawn of ${key} (${pid})`);
      run.measured = true;
    } else {
      this.counts.observations++;
      run.observations++;
      if (event.cpuMs < run.cpuMs) {
        this.#violation(
          `the CPU time of ${key} (${pid}) falls from ${run.cpuMs} to ${event.cpuMs}`,
        );
      }
      run.cpuMs = event.cpuMs;
    }
  }

  /** @param {import('@absolutejs/runtime').RuntimeLogEvent} event */
  #line({ key, pid, stream, line }) {
    const run = this.runs.get(key);
    if (run?.pid !== pid) {
      this.#violation(`a line of ${key} (${pid}), whose process is ${run?.pid ?? 'none'}: ${line}`);
      return;
    }
    this.counts.lines++;
    if (run.cut !== '')
      this.#violation(`${key} (${pid}) goes on after a line that was cut: ${run.cut}`);
    const [number, of, end] = line.split(' ');
    const index = stream === 'stdout' ? 0 : 1;
    if (end === '.') {
      if (of !== key) this.#violation(`a line of ${of} came as one of ${key} (${pid})`);
      if (Number(number) !== run.lines[index]) {
        this.#violation(
          `${key} (${pid}): line ${number} of ${stream} came as number ${run.lines[index]}`,
        );
      }
      run.lines[index] = Number(number) + 1;
    } else if (number === 'bye') {
      run.written = Number(of);
    } else if (number === 'terms' && of !== '1') {
      this.#violation(`${key} (${pid}) got ${of} SIGTERMs`);
    } else if (!OTHER_LINES.test(line) && !this.#kindOf(key).files) {
      run.cut = line;
    }
  }
}
