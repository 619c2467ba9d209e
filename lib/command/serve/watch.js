/** What no transition of a tenant tells, and an operator should find in the journal. */
import { clientOf } from '../client.js';
import { harmless } from '../text.js';
import { inTheJournal } from './banner.js';

/**
 * Says what happens to the host itself, such as a full disk under the files of logs, and which starts
 * and replacements fail without a process of theirs that ends.
 *
 * @param {string} control its socket
 * @param {NodeJS.ProcessEnv} env
 * @param {(text: string) => void} say
 */
export function watchHost(control, env, say) {
  clientOf({ control }, env)
    .follow('/events', {
      isOnce: true,
      onEvent: (_, { type, key, text, lines }) => {
        if (type === 'host') say(harmless(text));
        else if (type === 'start-failed' || type === 'replace-failed')
          say(inTheJournal(key, text, lines));
      },
    })
    // The end of the control is that of this, too.
    .catch(() => {});
}
