// Starts many tenants at once and prints the outcomes; on request ends them and starts some again;
// then ends. Arguments: root, how many at once, how many once more, and options of the runtime as
// JSON. Keys are t0, t1, …; with "once" among the words they are ready when they run.
import { createRuntime } from '@absolutejs/runtime';
import { readdirSync } from 'node:fs';
import { say, told } from './words.mjs';

const [root = '', count = '1', countAgain = '1', options = '{}', ...words] = process.argv.slice(2);
const keysUpTo = (/** @type {string} */ count) =>
  Array.from({ length: Number(count) }, (_, index) => `t${index}`);
const keys = keysUpTo(count);
const descriptors = () => readdirSync('/proc/self/fd').length;

const runtime = createRuntime({
  source: { kind: 'directory', root },
  idleAfterMs: 0,
  stopTimeoutMs: 300,
  backoff: { baseMs: 0, maxFailures: 1_000_000 },
  ...(words.includes('once') && { readiness: async () => true }),
  onLog() {},
  ...JSON.parse(options),
});

async function outcomes(/** @type {string[]} */ keys) {
  /** @type {Record<string, number>} */
  const counts = {};
  /** @type {string[]} */
  const messages = [];
  await Promise.all(
    keys.map(async (key) => {
      const outcome = await runtime.ensure(key).then(
        () => 'ready',
        ({ code, message }) => (messages.push(message), code),
      );
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }),
  );
  return { counts, messages: messages.slice(0, 5), stats: runtime.stats() };
}

say('outcomes', await outcomes(keys));
await told();
await Promise.all(keys.map((key) => runtime.kill(key)));
say('again', await outcomes(keysUpTo(countAgain)));
await runtime.dispose();
say('disposed', { descriptors: descriptors() });
