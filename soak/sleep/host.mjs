// The host of the soak of a day's traffic: a runtime with sleep, and a gateway before it. Argument: an
// `Assignment` as JSON. It tells every transition as a line of JSON, and at the end of its input how
// many descriptors are left, once all is disposed of.
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';
import { descriptorCount } from './memory.mjs';
import { kindOf } from './apps.mjs';

/**
 * @typedef {object} Assignment
 * @property {string} root
 * @property {number} maxConcurrent
 * @property {number} maxAsleep
 * @property {number} keepFreeBytes
 * @property {number} idleAfterMs
 */

/** @type {Assignment} */
const { root, idleAfterMs, maxConcurrent, maxAsleep, keepFreeBytes } = JSON.parse(
  process.argv[2] ?? '',
);
const tell = (/** @type {object} */ line) => console.log(JSON.stringify(line));
const descriptorsBefore = descriptorCount();

const runtime = createRuntime({
  source: { kind: 'directory', root },
  env: (key) => ({ PATH: process.env.PATH, TENANT_KEY: key }),
  ...{ maxConcurrent, idleAfterMs, sweepIntervalMs: 500 },
  evict: 'cost',
  memory: { keepFreeBytes },
  // A second is half a minute of a day that takes an hour.
  sleep: {
    ...{ afterMs: 1_000, minAwakeMs: 500, pageOutAfterMs: 3_000, maxAsleep },
    shouldSleep: ({ key }) => kindOf(key) !== 'kept',
  },
  onTransition: (event) => tell({ of: 'transition', event }),
});
const route = /** @type {const} */ ({ by: 'subdomain', domain: 'localhost' });
const gateway = createGateway({ runtime, route, listen: { port: 0 } });
const [address] = await gateway.listening;
tell({ of: 'listening', port: address?.port });

for await (const _ of process.stdin);
await gateway.close();
await runtime.dispose();
tell({ of: 'end', descriptors: descriptorCount() - descriptorsBefore });
