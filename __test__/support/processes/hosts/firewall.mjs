// A host whose tenants have users of their own, to be run behind a firewall that goes by users, in
// a network namespace of its own. Prints what one tenant and the host itself can reach. Arguments:
// the root of the tenants `attacker` and `victim`, the first user, and how many.
import { createRuntime } from '@absolutejs/runtime';
import { connect, createServer } from 'node:net';
import { say } from './words.mjs';

const [root = '', first = '', count = ''] = process.argv.slice(2);
const METADATA = '169.254.169.254';
const PRIVATE = '10.1.2.3';

/** @param {string} address @param {number} port */
async function serve(address, port) {
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  await new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(port, address, () => resolve(undefined));
  });
}

/** @param {string} address @param {number} port */
const ownOutcome = (address, port) =>
  new Promise((resolve) => {
    const socket = connect(port, address);
    socket.on('connect', () => resolve('ok')).on('error', (error) => resolve(String(error)));
    socket.on('connect', () => socket.destroy());
  });

await serve('127.0.0.1', 5432);
await serve(METADATA, 80);
await serve(PRIVATE, 80);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  command: ['bun', 'server.ts'],
  isolation: { user: { first: Number(first), count: Number(count) } },
});
const [attacker, victim] = [await runtime.ensure('attacker'), await runtime.ensure('victim')];

/** @type {[string, string, number][]} */
const places = [
  ['its database', '127.0.0.1', 5432],
  ["its neighbour's port", '127.0.0.1', victim.port],
  ["its neighbour's port by another address", PRIVATE, victim.port],
  ['the metadata address', METADATA, 80],
  ['a private network', PRIVATE, 80],
];

/** @type {Record<string, unknown>} */
const tenants = {};
/** @type {Record<string, unknown>} */
const hosts = {};
for (const [what, address, port] of places) {
  for (const attempt of ['connectTo', 'sendDatagram']) {
    const response = await fetch(`http://127.0.0.1:${attacker.port}/`, {
      method: 'POST',
      body: JSON.stringify({ attempt, args: [address, port] }),
    });
    const name = attempt === 'connectTo' ? what : `${what}, by UDP`;
    tenants[name] = /** @type {{ outcome: string }} */ (await response.json()).outcome;
  }
  hosts[what] = await ownOutcome(address, port);
}
await runtime.dispose();
say('reached', { tenants, hosts });
process.exit();
