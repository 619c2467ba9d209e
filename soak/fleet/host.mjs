// One host of the fleet's test bed. It prints its events, one in a line, and reads what to do.
import { createInterface } from 'node:readline';
import { createRuntime } from '@absolutejs/runtime';
import { createFleet, etcd } from '@absolutejs/runtime/fleet';
import { createGateway } from '@absolutejs/runtime/gateway';

const settings = JSON.parse(process.argv[2] ?? '{}');
const { id, address, root, witness, endpoints, leaseMs, secret } = settings;

/** @param {string} kind @param {object} [fields] */
function tell(kind, fields) {
  process.stdout.write(`${JSON.stringify({ kind, ...fields })}\n`);
}

const runtime = createRuntime({
  source: { kind: 'directory', root },
  idleAfterMs: 60_000,
  env: () => ({ PATH: process.env.PATH, WITNESS: witness, HOST_ID: id }),
});
const gateway = createGateway({
  runtime,
  route: { by: 'subdomain', domain: 'fleet.test' },
  listen: { hostname: address, port: 8080 },
  drainMs: 2_000,
});
const fleet = createFleet({
  runtime,
  gateway,
  store: etcd({ endpoints, prefix: '/bed/' }),
  host: { id, address: `http://${address}:7070` },
  leaseMs,
  secret,
  onEvent: (event) => tell('event', { event }),
});
await gateway.listening;
await fleet.joined;
tell('ready', { pid: process.pid });

/** @type {Record<string, () => Promise<unknown>>} */
const orders = {
  drain: () => fleet.drain(),
  close: async () => {
    await fleet.close();
    await gateway.close({ graceMs: 0 });
    await runtime.dispose();
  },
  tenants: async () => runtime.list().map(({ key }) => key),
};
for await (const order of createInterface({ input: process.stdin })) {
  const begun = orders[order]?.();
  begun?.then(
    (result) => tell('done', { order, result }),
    (error) => tell('failed', { order, code: error.code, message: error.message }),
  );
  if (order === 'close') await begun;
}
