// One host of the fleet's test bed. It prints its events, one in a line, and reads what to do.
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createRuntime } from '@absolutejs/runtime';
import { createFleet, etcd } from '@absolutejs/runtime/fleet';
import { createGateway } from '@absolutejs/runtime/gateway';

const settings = JSON.parse(process.argv[2] ?? '{}');
const { id, address, weight, root, witness, endpoints, leaseMs, secret, pretends } = settings;

/** So many keys are claimed at the same time. */
const AT_ONCE = 64;

/** @param {string} kind @param {object} [fields] */
function tell(kind, fields) {
  process.stdout.write(`${JSON.stringify({ kind, ...fields })}\n`);
}

const runtime = createRuntime({
  source: { kind: 'directory', root },
  idleAfterMs: 60_000,
  env: () => ({ PATH: process.env.PATH, WITNESS: witness, HOST_ID: id }),
  ...(pretends && pretendedTenants()),
});
const gateway = createGateway({
  runtime,
  route: { by: 'subdomain', domain: 'fleet.test' },
  listen: { hostname: address, port: 8080 },
  drainMs: 2_000,
});
/** None without a store: a host that is compared with those of the fleet. */
const fleet =
  endpoints &&
  createFleet({
    runtime,
    gateway,
    store: etcd({ endpoints, prefix: '/bed/' }),
    host: { id, address: `http://${address}:7070`, weight },
    leaseMs,
    secret,
    onEvent: (event) => tell('event', { event }),
  });
await gateway.listening;
await fleet?.joined;
tell('ready', { pid: process.pid });

/** @type {Record<string, (argument: string) => Promise<unknown>>} */
const orders = {
  drain: () => fleet?.drain(),
  close: async () => {
    await fleet?.close();
    await gateway.close({ graceMs: 0 });
    await runtime.dispose();
  },
  tenants: async () => runtime.list().map(({ key }) => key),
  hosts: async () => fleet?.hosts(),
  ensure: (count) => ensure(Number(count)),
  collect: async () => collectGarbage(),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [order = '', argument = ''] = line.split(' ');
  const begun = orders[order]?.(argument);
  begun?.then(
    (result) => tell('done', { order, result }),
    (error) => tell('failed', { order, code: error.code, message: error.message }),
  );
  if (order === 'close') await begun;
}

/** As many tenants as are wanted, which are no processes and do nothing. */
function pretendedTenants() {
  const spawn = async () => {
    /** @type {(exitCode: null) => void} */
    let end = () => {};
    const exited = new Promise((resolve) => (end = resolve));
    return { pid: process.pid, port: 1_024, exited, kill: () => end(null) };
  };
  return { spawn, readiness: async () => true, maxConcurrent: Infinity, idleAfterMs: 0 };
}

/** Has so many keys served. */
async function ensure(/** @type {number} */ count) {
  const left = Array.from({ length: count }, (_, number) => `pretended-${number}`);
  const some = async () => {
    for (let key = left.pop(); key !== undefined; key = left.pop()) {
      await (fleet ?? runtime).ensure(key);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

function collectGarbage() {
  if (globalThis.Bun) return Bun.gc(true);
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}
