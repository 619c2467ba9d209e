/** What gateways count for each tenant: totals, rates, and how soon it answers. */
import { invalidOption } from '../errors.js';
import { shown } from '../checks.js';

/** How many columns of requests a second a tenant's sparkline has. */
export const SPARK_COLUMNS = 30;
/** Percentiles and errors are those of about a minute: of so many steps, and the present one. */
const STEPS = 6;
export const STEP_MS = 10_000;
const MINUTE_S = (STEPS * STEP_MS) / 1_000;

/** Where figures are among a key's numbers: see `NativeAllStats` in `src/gateway/object.rs`. */
const IN_FLIGHT = 0;
const WAITING = 1;
const FIRST_CLASS = 2;
const SERVER_ERRORS = 6;
const REFUSED = 7;
const BUCKETS = 8;

/** @typedef {import('../observe/gateway-seam.js').GatewaySeam} GatewaySeam */

/** The figures of one tenant. */
export class Traffic {
  /** @type {Float64Array | undefined} */
  now = undefined;
  inFlight = 0;
  waiting = 0;
  requests = 0;
  requestsPerSecond = 0;
  /** Of 5xx, over the last minute: the tenant's. */
  errorsPerSecond = 0;
  /** The same of those that the gateway gave itself. */
  refusedPerSecond = 0;
  /** @type {number | null} */
  p50Ms = null;
  /** @type {number | null} */
  p99Ms = null;
  /** @type {number[]} */
  spark = new Array(SPARK_COLUMNS).fill(0);
  /** Counts every change of the sparkline. */
  sparkVersion = 0;
  #requestsAtColumn = 0;
  /** The numbers at the beginning of each step, the oldest first. @type {Float64Array[]} */
  #steps = [];

  /** @param {Float64Array} numbers @param {readonly number[]} boundsMs */
  update(numbers, boundsMs) {
    this.inFlight = at(numbers, IN_FLIGHT);
    this.waiting = at(numbers, WAITING);
    let requests = 0;
    for (let place = FIRST_CLASS; place <= SERVER_ERRORS; place += 1)
      requests += at(numbers, place);
    const hasMoved = requests !== this.requests || this.now === undefined;
    this.now = numbers;
    this.requests = requests;
    if (hasMoved) this.#reckon(boundsMs);
  }

  /** @param {readonly number[]} boundsMs */
  #reckon(boundsMs) {
    const { now } = this;
    if (now === undefined) return;
    const before = this.#steps[0];
    const since = (/** @type {number} */ place) => at(now, place) - at(before, place);
    const refused = since(REFUSED);
    this.errorsPerSecond = perSecond(since(SERVER_ERRORS) - refused);
    this.refusedPerSecond = perSecond(refused);
    this.p50Ms = percentile(0.5, now, before, boundsMs);
    this.p99Ms = percentile(0.99, now, before, boundsMs);
  }

  /**
   * A process was started: the answers until now, such as refusals during a back-off, are not its.
   * @param {Float64Array} numbers
   * @param {readonly number[]} boundsMs
   */
  began(numbers, boundsMs) {
    this.update(numbers, boundsMs);
    this.#steps = [numbers];
    this.#reckon(boundsMs);
  }

  /** What was before now is long over: rates and percentiles begin here. */
  begin() {
    this.#requestsAtColumn = this.requests;
    this.#steps = this.now === undefined ? [] : [this.now];
    this.#reckon([]);
  }

  /** A column of the sparkline is over. @param {number} seconds it took */
  column(seconds) {
    this.requestsPerSecond = round((this.requests - this.#requestsAtColumn) / seconds);
    this.#requestsAtColumn = this.requests;
    const hadSome = this.spark.some((height) => height > 0);
    if (!hadSome && this.requestsPerSecond === 0) return;
    this.spark = [...this.spark.slice(1), this.requestsPerSecond];
    this.sparkVersion += 1;
  }

  /** A step is over. @param {readonly number[]} boundsMs */
  step(boundsMs) {
    if (this.now === undefined) return;
    this.#steps.push(this.now);
    if (this.#steps.length > STEPS) this.#steps.shift();
    this.#reckon(boundsMs);
  }
}

/** @param {Float64Array | undefined} numbers @param {number} place */
const at = (numbers, place) => numbers?.[place] ?? 0;

/** @param {number} count of the last minute */
const perSecond = (count) => Math.round((1_000 * count) / MINUTE_S) / 1_000;

/** @param {number} number */
export const round = (number) => Math.round(number * 10) / 10;

/**
 * The time within which this share of the answers since `before` began.
 * @param {number} share
 * @param {Float64Array} now
 * @param {Float64Array | undefined} before
 * @param {readonly number[]} boundsMs
 * @returns {number | null} null: there were no answers
 */
function percentile(share, now, before, boundsMs) {
  let all = 0;
  for (let place = BUCKETS; place < now.length; place += 1)
    all += at(now, place) - at(before, place);
  if (all <= 0) return null;
  let left = all * share;
  for (let bucket = 0; bucket < boundsMs.length; bucket += 1) {
    const its = at(now, BUCKETS + bucket) - at(before, BUCKETS + bucket);
    if (its > 0 && left <= its) {
      const from = boundsMs[bucket - 1] ?? 0;
      const to = /** @type {number} */ (boundsMs[bucket]);
      return to === Infinity ? from : round(from + ((to - from) * left) / its);
    }
    left -= its;
  }
  return null;
}

/**
 * The figures of all tenants of some gateways, by key.
 * @param {readonly GatewaySeam[]} gateways
 * @returns {{ byKey: Map<string, Float64Array>, boundsMs: readonly number[] }}
 */
export function readTraffic(gateways) {
  /** @type {Map<string, Float64Array>} */
  const byKey = new Map();
  /** @type {readonly number[]} */
  let boundsMs = [];
  for (const gateway of gateways) {
    const all = gateway.statsOfAll();
    boundsMs = all.boundsMs;
    all.keys.forEach((key, index) => {
      const its = all.numbers.subarray(index * all.perKey, (index + 1) * all.perKey);
      const others = byKey.get(key);
      byKey.set(
        key,
        others === undefined ? its : its.map((count, place) => count + at(others, place)),
      );
    });
  }
  return { byKey, boundsMs };
}

/**
 * The figures of one tenant, as of this moment; undefined without a gateway.
 * @param {readonly Known[]} gateways
 * @param {string} key
 */
export function numbersOf(gateways, key) {
  /** @type {Float64Array | undefined} */
  let sum;
  for (const { seam } of gateways) {
    const { inFlight, waiting, requests, refused, answerHistogram } = seam.statsOf(key);
    const classes = ['1xx', '2xx', '3xx', '4xx', '5xx'].map((name) => requests[name] ?? 0);
    const buckets = answerHistogram.map(({ count }) => count);
    const its = Float64Array.of(inFlight, waiting, ...classes, refused, ...buckets);
    const others = sum;
    sum = others === undefined ? its : its.map((count, place) => count + at(others, place));
  }
  return sum;
}

/**
 * A gateway, and where it listens once that is known.
 * @typedef {{ seam: GatewaySeam, place?: URL }} Known
 */

/**
 * Where visitors reach a tenant; null if that cannot be told.
 * @param {readonly Known[]} gateways
 * @param {string} key
 * @returns {string | null}
 */
export function addressOf(gateways, key) {
  for (const { seam, place } of gateways) {
    const host = place && hostOf(seam.route, place, key);
    if (host === undefined) continue;
    const path =
      seam.route.by === 'path' ? `${key.split('/').map(encodeURIComponent).join('/')}/` : '';
    return `${place?.protocol}//${host}${place?.port && `:${place.port}`}/${path}`;
  }
  return null;
}

/** @param {GatewaySeam['route']} route @param {URL} place @param {string} key */
function hostOf({ by, domain, hosts = [] }, place, key) {
  switch (by) {
    case 'path':
      return place.hostname;
    case 'host':
      return hosts.find((one) => one.key === key)?.host;
    case 'subdomain':
      return /^[a-z0-9_-]{1,63}$/.test(key) ? `${key}.${domain}` : undefined;
    default:
      return undefined;
  }
}
