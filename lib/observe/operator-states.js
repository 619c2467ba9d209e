/** The state of a tenant as operators see it, of this host or of another one of its fleet. */

/** @typedef {import('../../control.js').ControlTenantState} State */

/** @type {Record<import('../../index.js').TenantState, State>} */
const STATES = {
  queued: 'starting',
  spawning: 'starting',
  ready: 'running',
  asleep: 'asleep',
  stopping: 'stopping',
  stuck: 'stopping',
  'backing-off': 'backing-off',
  failed: 'failed',
  stopped: 'stopped',
  checkpointed: 'stopped',
};

/**
 * @param {Pick<import('../../index.js').TenantStatus, 'state' | 'attempt' | 'lastExit'>} status
 * @returns {State}
 */
export function stateOf({ state, attempt, lastExit }) {
  const hasFailed = attempt > 0 || lastExit?.reason === 'crashed';
  return state === 'stopped' && hasFailed ? 'failed' : STATES[state];
}
