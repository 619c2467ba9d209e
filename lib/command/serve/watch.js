/** What no event of a tenant tells, and an operator should find in the journal. */
import { clientOf } from '../client.js';
import { harmless } from '../text.js';

/** How often it is looked whether a start has failed. */
const LOOK_MS = 1_000;
/** Failures of a start in which a process ended, which its `exit` tells. */
const OF_AN_EXIT =
  /^Runtime process for |^Tenant readiness timed out|: its readiness check said no$/;

/** @typedef {(text: string) => void} Say */

/**
 * Says which starts fail before there is a process, such as without its program: each failure once,
 * until it becomes another, or the tenant is ready.
 *
 * @param {Pick<import('../../../index.js').Runtime, 'metrics' | 'list'>} runtime
 * @param {Say} say
 * @returns {() => void} ends it
 */
export function watchStarts(runtime, say) {
  /** @type {Map<string, string>} */
  let told = new Map();
  let seen = 0;
  const look = () => {
    const { totalBackoffEntries } = runtime.metrics();
    // To list all tenants costs more.
    if (totalBackoffEntries === seen) return;
    seen = totalBackoffEntries;
    /** @type {typeof told} */
    const failing = new Map();
    for (const { key, attempt, lastError } of runtime.list()) {
      const [error = ''] = (lastError ?? '').split('\n');
      if (attempt === 0 || error === '' || OF_AN_EXIT.test(error)) continue;
      failing.set(key, error);
      if (told.get(key) !== error)
        say(`${harmless(error)}: absolutejs-runtime inspect ${harmless(key)}`);
    }
    told = failing;
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * Says what happens to the host itself, such as a full disk under the files of logs.
 *
 * @param {string} control its socket
 * @param {NodeJS.ProcessEnv} env
 * @param {Say} say
 */
export function watchHost(control, env, say) {
  clientOf({ control }, env)
    .follow('/events', {
      isOnce: true,
      onEvent: (_, event) => {
        if (event.type === 'host') say(harmless(event.text));
      },
    })
    // The end of the control is that of this, too.
    .catch(() => {});
}
