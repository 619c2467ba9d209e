/** What operators ask a host of the fleet by way of another: each host answers for itself. */
import { stateOf } from '../observe/operator-states.js';

/**
 * @param {object} given
 * @param {Pick<import('../../index.js').Runtime, 'list'>} given.runtime
 * @param {(from: string) => void} given.drain
 * @returns {(question: string, from: string) => string | undefined} the answer to a question of the
 *   host `from`; undefined if this version knows no such question
 */
export function createAnswers({ runtime, drain }) {
  /** @type {Record<string, (from: string) => unknown>} */
  const answers = {
    // Most tenants of a large fleet are stopped: they are left out.
    states: () =>
      runtime
        .list()
        .map((status) => [status.key, stateOf(status)])
        .filter(([, state]) => state !== 'stopped'),
    drain(from) {
      drain(from);
      return null;
    },
  };
  return (question, from) =>
    Object.hasOwn(answers, question) ? JSON.stringify(answers[question]?.(from)) : undefined;
}
