// A host of the soak: once it is told to go, it does one thing after another with its tenants, and
// tells everything that it is told, a line of JSON for each, written at once: what it has told before
// it is lost is known.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createRuntime } from '@absolutejs/runtime';
import { Rng } from '../host/rng.mjs';

/**
 * @typedef {object} Assignment
 * @property {string} root
 * @property {string} name of the option `survive`
 * @property {number} forMs
 * @property {boolean} takeOver
 * @property {string} tenant the program of each tenant
 * @property {string[]} keys
 * @property {string} seed
 */
/** @type {Assignment} */
const { root, name, forMs, takeOver, tenant, keys, seed } = JSON.parse(process.argv[2] ?? '');
const rng = new Rng(seed);
/** Calls that are under way at once. */
const LANES = 4;

/** @param {object} value */
function tell(value) {
  const line = Buffer.from(`${JSON.stringify(value)}\n`);
  for (let at = 0; at < line.length;) {
    try {
      at += writeSync(1, line, at);
    } catch (error) {
      // The reader is behind.
      if (Reflect.get(Object(error), 'code') !== 'EAGAIN') throw error;
    }
  }
}

const runtime = createRuntime({
  source: { kind: 'directory', root },
  survive: { name, forMs, takeOver },
  maxConcurrent: keys.length + 4,
  idleAfterMs: 0,
  command: [tenant],
  env: (key) => ({ SOAK_KEY: key, SOAK_RUN: root }),
  observeIntervalMs: 40,
  stopTimeoutMs: 2_000,
  backoff: { baseMs: 1, maxMs: 1, maxFailures: Infinity },
  onTransition(event) {
    tell({ of: 'transition', event });
    // By then the runtime knows that it was told.
    if (event.type === 'exit') queueMicrotask(() => tell({ of: 'told', event }));
    if (event.type === 'detach') void runtime.detach().then(() => process.exit(0));
  },
  onMetrics: (event) => event.type === 'observation' && tell({ of: 'observation', event }),
  onLog: (event) => tell({ of: 'line', event }),
});

runtime.recovered.then(
  () => tell({ of: 'recovered', list: living() }),
  ({ code, pid }) => tell({ of: 'recovered', code, pid }),
);

const living = () =>
  runtime.list().flatMap(({ key, pid, port }) => (pid ? [{ key, pid, port }] : []));

/** @type {{ weight: number, act: (key: string) => unknown }[]} */
const OPERATIONS = [
  { weight: 12, act: (key) => runtime.ensure(key) },
  { weight: 2, act: (key) => runtime.kill(key) },
  { weight: 2, act: (key) => runtime.restart(key) },
  { weight: 2, act: (key) => runtime.replace(key, { drainMs: 20 }) },
  { weight: 2, act: () => tell({ of: 'list', list: living() }) },
];

async function lane() {
  for (;;) {
    try {
      await rng.weighted(OPERATIONS).act(rng.pick(keys));
    } catch (error) {
      // Tenants that end before they are ready, and a runtime that has been left.
      const { code } = /** @type {any} */ (error);
      if (code === 'ERR_RUNTIME_DISPOSED') return;
      if (!String(code).startsWith('ERR_RUNTIME_')) tell({ of: 'error', text: String(error) });
    }
    await new Promise((resolve) => setTimeout(resolve, rng.below(8)));
  }
}

/** @type {Record<string, () => unknown>} */
const ORDERS = {
  go: () => void Array.from({ length: LANES }, lane),
  detach: () => void runtime.detach().then(() => process.exit(0)),
  dispose: () => runtime.dispose().then(() => process.exit(0)),
  crash: () =>
    setTimeout(() => {
      throw new Error('a crash');
    }),
};
createInterface(process.stdin).on('line', (word) => void ORDERS[word]?.());
