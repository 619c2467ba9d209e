// What must be true of a fleet, found out from outside: from what the tenants wrote down and what
// the visitors saw. Nothing of the product is asked.

/**
 * @typedef {object} Told what a tenant wrote
 * @property {number} at microseconds of the machine's clock
 * @property {string} what
 * @property {string} key
 * @property {number} epoch
 * @property {number} pid
 *
 * @typedef {object} Visit what a visitor saw
 * @property {number} sent
 * @property {number} ended
 * @property {string} gateway
 * @property {string} key
 * @property {number} [status]
 * @property {number} [epoch]
 * @property {boolean} [isWhole]
 * @property {string} [retryAfter] of a refusal
 * @property {string} [failed]
 */

/** @param {string} text @returns {Told[]} */
export function readTold(text) {
  const lines = text.split('\n').filter((line) => line !== '');
  const told = lines.map((line) => {
    const [at, what = '', key = '', epoch, pid] = line.split(' ');
    return { at: Number(at), what, key, epoch: Number(epoch), pid: Number(pid) };
  });
  return told.sort((first, second) => first.at - second.at);
}

/**
 * Two processes of one key must not serve at once: once a later epoch has served, no earlier one
 * begins with a request. And one epoch is of one host, so two processes of it follow each other.
 * @param {Told[]} told
 * @returns {string[]} violations
 */
export function overlaps(told) {
  const violations = [];
  /** @type {Map<string, { epoch: number; at: number; pid: number }>} */
  const latest = new Map();
  for (const { at, what, key, epoch, pid } of told) {
    if (what !== 'serve') continue;
    if (!Number.isSafeInteger(epoch))
      violations.push(`${key} was served without an epoch (${pid})`);
    const before = latest.get(key);
    if (before !== undefined && epoch < before.epoch) {
      const lateMs = Math.round((at - before.at) / 1000);
      violations.push(
        `${key} was served under epoch ${epoch} (${pid}) ${lateMs} ms after ${before.epoch} (${before.pid})`,
      );
      continue;
    }
    latest.set(key, { epoch, at, pid });
  }
  return violations;
}

/**
 * No visitor gets an answer of a ghost: who asks after somebody has got an answer of an epoch never
 * gets one of an earlier epoch.
 * @param {Visit[]} visits
 * @returns {string[]} violations
 */
export function ghosts(visits) {
  const violations = [];
  const byKey = groupByKey(answered(visits));
  for (const [key, ofKey] of byKey) {
    const ends = [...ofKey].sort((first, second) => first.ended - second.ended);
    const begins = [...ofKey].sort((first, second) => first.sent - second.sent);
    let next = 0;
    let known = 0;
    for (const visit of begins) {
      for (; (ends[next]?.ended ?? Infinity) < visit.sent; next += 1) {
        known = Math.max(known, ends[next]?.epoch ?? 0);
      }
      if (visit.epoch < known) {
        violations.push(`a visitor of ${key} got epoch ${visit.epoch} after ${known} had answered`);
      }
    }
  }
  return violations;
}

/**
 * The longest that a key was wanted and not served, over all keys: from when the first visitor that
 * got nothing had asked (or from the last answer, if that came later) to the next answer.
 * @param {Visit[]} visits
 * @param {(visit: Visit) => boolean} counts visits that should have been answered
 */
export function longestGap(visits, counts) {
  let longest = { ms: 0, key: '', since: 0 };
  /** @type {Map<string, number>} */
  const servedAt = new Map();
  /** @type {Map<string, number>} */
  const unservedSince = new Map();
  for (const visit of visits.filter(counts).sort((first, second) => first.ended - second.ended)) {
    const { key, sent, ended } = visit;
    if (visit.status !== 200) {
      const since = Math.max(sent, servedAt.get(key) ?? 0);
      if (!unservedSince.has(key)) unservedSince.set(key, since);
      continue;
    }
    const since = unservedSince.get(key);
    if (since !== undefined && (ended - since) / 1000 > longest.ms) {
      longest = { ms: (ended - since) / 1000, key, since };
    }
    unservedSince.delete(key);
    servedAt.set(key, ended);
  }
  return longest;
}

/** @param {Visit[]} visits */
const answered = (visits) =>
  /** @type {(Visit & { epoch: number })[]} */ (visits.filter(({ epoch }) => epoch !== undefined));

/** @template {{ key: string }} T @param {T[]} list @returns {Map<string, T[]>} */
function groupByKey(list) {
  const groups = new Map();
  for (const item of list) {
    if (!groups.has(item.key)) groups.set(item.key, []);
    groups.get(item.key).push(item);
  }
  return groups;
}
