/**
 * Access events: taken from Rust in batches, a few milliseconds after the fact. Under load a batch
 * has many, so that neither a call into Rust nor a turn of the event loop falls to each.
 */
import { guarded } from '../bridge/callbacks.js';

/** How long events are collected before a batch of them is taken. */
const COLLECTED_MS = 50;
/** The time of one turn, so that the host's timers and requests are not delayed. */
const TURN_MS = 4;
/** How many events are delivered between two looks at the clock. */
const EVENTS_PER_LOOK = 32;

/** How many numbers, and how many texts, an event has: see `src/gateway/access.rs`. */
const NUMBERS = 7;
const TEXTS = 6;

/** @typedef {{ numbers: Float64Array, texts: string }} NativeBatch */

/**
 * @param {(event: import('../../gateway.js').GatewayAccessEvent) => unknown} onAccess the user's
 * @param {() => NativeBatch | null | undefined} take the next batch; none if there are no events
 */
export function createAccess(onAccess, take) {
  const deliver = /** @type {NonNullable<ReturnType<typeof guarded>>} */ (guarded(onAccess));
  /** @type {{ numbers: Float64Array, texts: string[], next: number } | undefined} */
  let batch;
  let isScheduled = false;
  /** Called when no events are left. @type {(() => void)[]} */
  const whenEmpty = [];

  /** @param {number} delayMs */
  function schedule(delayMs) {
    if (isScheduled) return;
    isScheduled = true;
    setTimeout(turn, delayMs).unref?.();
  }

  function turn() {
    isScheduled = false;
    const startedAt = performance.now();
    for (;;) {
      if (batch === undefined) {
        const taken = take();
        if (!taken) break;
        batch = { numbers: taken.numbers, texts: taken.texts.split('\n'), next: 0 };
      }
      deliverSome(batch, deliver);
      if (batch.next * NUMBERS >= batch.numbers.length) batch = undefined;
      // What has come in the meantime waits for the next turn, but at the end.
      if (batch === undefined && whenEmpty.length === 0) return schedule(COLLECTED_MS);
      if (performance.now() - startedAt > TURN_MS) return schedule(0);
    }
    for (const done of whenEmpty.splice(0)) done();
  }

  return {
    /** Rust has an event, and has had none before. */
    rung: () => schedule(COLLECTED_MS),
    /** Delivers all events that there are. @returns {Promise<void>} */
    flush: () =>
      new Promise((resolve) => {
        whenEmpty.push(resolve);
        turn();
      }),
  };
}

/**
 * @param {{ numbers: Float64Array, texts: string[], next: number }} batch
 * @param {(event: import('../../gateway.js').GatewayAccessEvent) => unknown} deliver
 */
function deliverSome(batch, deliver) {
  const { numbers, texts } = batch;
  const end = Math.min(batch.next + EVENTS_PER_LOOK, numbers.length / NUMBERS);
  for (; batch.next < end; batch.next += 1) {
    deliver(eventAt(numbers, batch.next * NUMBERS, texts, batch.next * TEXTS));
  }
}

/**
 * The one reader of an event's places.
 * @param {Float64Array} numbers
 * @param {number} n its first number
 * @param {string[]} texts
 * @param {number} t its first text
 * @returns {import('../../gateway.js').GatewayAccessEvent}
 */
function eventAt(numbers, n, texts, t) {
  const numberAt = (/** @type {number} */ place) => /** @type {number} */ (numbers[n + place]);
  const textAt = (/** @type {number} */ place) => /** @type {string} */ (texts[t + place]);
  const event = {
    key: numberAt(0) === 1 ? textAt(0) : null,
    host: textAt(1),
    method: textAt(2),
    path: textAt(3),
    status: numberAt(1),
    durationMs: numberAt(2),
    bytesIn: numberAt(4),
    bytesOut: numberAt(5),
    address: textAt(4),
    at: numberAt(6),
  };
  const wokeMs = numberAt(3);
  const peer = textAt(5);
  if (wokeMs < 0 && peer === '') return event;
  return { ...event, ...(wokeMs < 0 ? {} : { wokeMs }), ...(peer === '' ? {} : { peer }) };
}
