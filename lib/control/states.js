/** The states of a tenant, as operators see it. Clients have the same words: this imports nothing. */
export const STATES = [
  ...['stopped', 'starting', 'running', 'asleep', 'stopping', 'backing-off', 'failed'],
];
