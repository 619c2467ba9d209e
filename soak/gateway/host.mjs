// The host of the gateway's soak. It reads one change per line, and prints what has become of it.
import { createInterface } from 'node:readline';
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';
import { ASKED, CRASHING } from './tenants.mjs';
import { Rng } from '../host/rng.mjs';

const [root = '', seed = '1'] = process.argv.slice(2);
const rng = new Rng(seed);
// Room for fewer than are asked for: some leave for others all the time.
const runtime = createRuntime({
  source: { kind: 'directory', root },
  maxConcurrent: ASKED.length - 1,
  idleAfterMs: 1_000,
  sweepIntervalMs: 200,
  env: (key) => ({ PATH: process.env.PATH, TENANT_KEY: key }),
});
const route = /** @type {const} */ ({ by: 'subdomain', domain: 'localhost' });
const gateway = createGateway({ runtime, route, listen: { port: 0 } });

const CHANGES = {
  replace: () => runtime.replace(rng.pick(ASKED)),
  restart: () => runtime.restart(rng.pick(ASKED)),
  async crash() {
    const { pid } = await runtime.ensure(rng.pick(CRASHING));
    process.kill(pid, 'SIGKILL');
  },
};

/** @type {Record<string, number>} */
const failed = {};
const [address] = await gateway.listening;
console.log(JSON.stringify({ port: address?.port }));
const pending = new Set();
for await (const line of createInterface({ input: process.stdin })) {
  const change = /** @type {keyof typeof CHANGES} */ (line);
  const done = CHANGES[change]().catch((error) => {
    const text = `${change}: ${error.code}`;
    failed[text] = (failed[text] ?? 0) + 1;
  });
  pending.add(done.finally(() => pending.delete(done)));
}
await Promise.all(pending);
const { totalExits, totalSpawns } = runtime.metrics();
const stats = gateway.stats();
await runtime.dispose();
console.log(JSON.stringify({ totalExits, totalSpawns, failed, stats }));
