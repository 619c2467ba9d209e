/** The options `sleep`, `evict` and `memory`: who leaves memory, and when. */
import { fieldsOf, isFunction, number, optional, shown, wholeNumber } from '../checks.js';
import { invalidOption } from '../errors.js';

/** Without activity for so long a tenant falls asleep, and its memory is handed to swap. */
const AFTER_MS = 30_000;
const PAGE_OUT_AFTER_MS = 60_000;
/** So long it is awake at least: a visitor who is slow to follow a link does not wake it again. */
const MIN_AWAKE_MS = 5_000;
/** A sleeper needs no processor, and little memory: so many for each tenant that may be awake. */
const ASLEEP_FOR_EACH_AWAKE = 10;

const OUTGOING = /** @type {const} */ (['stay', 'breathe', 'sleep']);
const EVICTIONS = /** @type {const} */ (['lru', 'cost']);

/** @param {unknown} given @param {number} maxConcurrent */
export function sleepOf(given, maxConcurrent) {
  const options = fieldsOf('sleep', /** @type {import('../../index.js').RuntimeSleep} */ (given), [
    'afterMs',
    'pageOutAfterMs',
    'maxAsleep',
    'minAwakeMs',
    'outgoing',
    'shouldSleep',
  ]);
  const { afterMs, pageOutAfterMs, maxAsleep, minAwakeMs, outgoing, shouldSleep } = options;
  const most = ASLEEP_FOR_EACH_AWAKE * maxConcurrent;
  const asleepAfterMs = number('sleep.afterMs', afterMs, AFTER_MS, 1);
  return {
    afterMs: asleepAfterMs,
    pageOutAfterMs: pageOutAfterMsOf(pageOutAfterMs, asleepAfterMs),
    maxAsleep: wholeNumber('sleep.maxAsleep', maxAsleep, most, 1),
    minAwakeMs: number('sleep.minAwakeMs', minAwakeMs, MIN_AWAKE_MS, 0),
    outgoing: oneOf('sleep.outgoing', outgoing, OUTGOING) ?? 'stay',
    shouldSleep: optional('sleep.shouldSleep', shouldSleep, isFunction, 'a function'),
  };
}

/**
 * Only what sleeps is paged out, and both times count from the last activity.
 *
 * @param {unknown} given
 * @param {number} afterMs
 */
function pageOutAfterMsOf(given, afterMs) {
  const path = 'sleep.pageOutAfterMs';
  const pageOutAfterMs = number(path, given, Math.max(afterMs, PAGE_OUT_AFTER_MS));
  if (pageOutAfterMs <= 0 || pageOutAfterMs >= afterMs) return pageOutAfterMs;
  throw invalidOption(
    `${path} must be at least sleep.afterMs, ${afterMs}, as both count from the last activity, or ` +
      `0 for never; got ${pageOutAfterMs}`,
  );
}

/** @param {unknown} given */
export const evictionOf = (given) => oneOf('evict', given, EVICTIONS) ?? 'lru';

/** @param {unknown} given */
export function memoryOf(given) {
  const { keepFreeBytes } = fieldsOf(
    'memory',
    /** @type {import('../../index.js').RuntimeMemory} */ (given),
    ['keepFreeBytes'],
  );
  const isSize = Number.isFinite(keepFreeBytes) && keepFreeBytes > 0;
  if (!isSize) {
    throw invalidOption(
      `memory.keepFreeBytes must be a positive number of bytes, got ${shown(keepFreeBytes)}`,
    );
  }
  return { keepFreeBytes };
}

/**
 * One of some words, or undefined.
 * @template {string} W
 * @param {string} path
 * @param {unknown} value
 * @param {readonly W[]} words
 */
function oneOf(path, value, words) {
  const isOne = (/** @type {unknown} */ given) => words.some((word) => word === given);
  const what = words.map((word) => `"${word}"`).join(' or ');
  return /** @type {W | undefined} */ (optional(path, value, isOne, what));
}
