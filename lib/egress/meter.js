/** The account of one request: what it sends and receives, against the budget of its tenant. */

/** @typedef {import('./budget.js').Overrun} Overrun */

/**
 * @typedef {object} Meter
 * @property {(bytes: number) => void} reserve before anything is sent: what is sure to be sent
 * @property {(bytes: number) => void} sent of the reserved bytes first
 * @property {() => void} sentAll no more will be sent: what is left of the reservation is given back
 * @property {(bytes: number) => void} expect what the answer says will come
 * @property {(bytes: number) => void} received
 */

const nothing = () => {};

/**
 * @param {import('./budget.js').Budgets | undefined} budgets without one, only what is received is counted
 * @param {string} key
 * @param {(overrun: Overrun) => Error} refusal what all but `sentAll` throw beyond the budget
 * @param {(bytes: number) => void} counted told of all that is received
 * @returns {Meter}
 */
export function createMeter(budgets, key, refusal, counted) {
  if (!budgets) {
    return { reserve: nothing, sent: nothing, sentAll: nothing, expect: nothing, received: counted };
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
