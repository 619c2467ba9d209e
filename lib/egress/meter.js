/** The bytes that one request sends and receives, counted against its tenant's budget. */

/** @typedef {import('./budget.js').Overrun} Overrun */

/**
 * @typedef {object} Meter
 * @property {(bytes: number) => void} reserve called before anything is sent, with the known
 * length
 * @property {(bytes: number) => void} sent counts bytes sent, the reserved ones first
 * @property {() => void} sentAll ends sending: returns what is left of the reservation
 * @property {(bytes: number) => void} expect refuses an answer whose stated length exceeds the
 * budget
 * @property {(bytes: number) => void} received counts bytes received
 */

const nothing = () => {};

/**
 * @param {import('./budget.js').Budgets | undefined} budgets undefined: only received bytes are
 * counted
 * @param {string} key
 * @param {(overrun: Overrun) => Error} refusal makes the error that all but `sentAll` throw beyond
 * the budget
 * @param {(bytes: number) => void} counted called with all bytes received
 * @returns {Meter}
 */
export function createMeter(budgets, key, refusal, counted) {
  if (!budgets) {
    return {
      reserve: nothing,
      sent: nothing,
      sentAll: nothing,
      expect: nothing,
      received: counted,
    };
  }
  let reserved = 0;

  /** @param {Overrun | undefined} overrun */
  function refuse(overrun) {
    if (overrun) throw refusal(overrun);
  }

  return {
    reserve(bytes) {
      refuse(budgets.hold(key, bytes));
      reserved += bytes;
    },
    sent(bytes) {
      const settled = Math.min(reserved, bytes);
      if (settled > 0) budgets.settle(key, settled, settled);
      reserved -= settled;
      if (bytes > settled) refuse(budgets.takeBytes(key, bytes - settled));
    },
    sentAll() {
      if (reserved > 0) budgets.settle(key, reserved, 0);
      reserved = 0;
    },
    expect(bytes) {
      refuse(budgets.wouldOverrun(key, bytes));
    },
    received(bytes) {
      counted(bytes);
      refuse(budgets.takeBytes(key, bytes));
    },
  };
}
