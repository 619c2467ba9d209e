/** `drain`: the host, or another one of its fleet, ends in order, and the command waits for that. */
import { nearest } from '../checks.js';
import { clientOf } from './client.js';
import { Failure } from './mistakes.js';
import { asJson } from './text.js';
import { several } from './words.js';

/** Other hosts see what has passed as soon. */
const LOOK_MS = 500;

/** @type {import('./commands.js').Run} */
export async function run({ options }, io) {
  const client = clientOf(options, io.env);
  if (options.host !== undefined) {
    const { host: own, hosts } = await client.get('/fleet');
    if (options.host !== own) return drainOther(client, options, hosts, io);
  }
  const host = await client.post('/drain');
  if (options.json) io.print(asJson(host));
  else io.print(remaining(host));
  let last = '';
  await client
    .follow('/host', {
      isOnce: true,
      onEvent: (event, now) => {
        if (event !== 'host' || options.json) return;
        const text = remaining(now);
        if (text !== last && last !== '') io.complain(text);
        last = text;
      },
    })
    // The host may have ended before it could be followed.
    .catch(() => {});
  if (!options.json) io.print('The host has ended.');
}

/** @param {any} host */
function remaining({ pid, runtime, gateway }) {
  const open = gateway === null ? '' : `, ${several(gateway.inFlight, 'open request')}`;
  return `draining (pid ${pid}): ${several(runtime.total, 'tenant')}${open}`;
}

/** @typedef {import('../../fleet.js').FleetHost} FleetHost */

/**
 * @param {import('./client.js').Client} client
 * @param {Record<string, any>} options
 * @param {readonly FleetHost[]} before the hosts as they were
 * @param {import('./terminal.js').Io} io
 */
async function drainOther(client, { host: id, json }, before, io) {
  const known = before.find((host) => host.id === id);
  if (known === undefined) throw unknownHost(id, before);
  /** @type {FleetHost} */
  const asked = await client.post(`/fleet/hosts/${encodeURIComponent(id)}/drain`);
  const verb = known.state === 'draining' ? 'drains already' : 'drains';
  if (json) io.print(asJson(asked));
  else io.print(`${id} ${verb}: ${several(asked.tenants, 'tenant')}`);
  let { tenants } = asked;
  let hasBegun = false;
  for (;;) {
    const { hosts } = await client.get('/fleet');
    const now = /** @type {readonly FleetHost[]} */ (hosts).find((host) => host.id === id);
    if (now?.state === 'gone') throw goneMeanwhile(now);
    hasBegun ||= now?.state === 'draining';
    // One that is live again has left and come back.
    const isOver = now === undefined || now.tenants === 0 || (hasBegun && now.state === 'live');
    if (isOver) break;
    if (now.tenants !== tenants && !json) {
      io.complain(`${id} drains: ${several(now.tenants, 'tenant')}`);
    }
    ({ tenants } = now);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  if (!json) io.print(`${id} has no tenants any more.`);
}

/** @param {string} id @param {readonly FleetHost[]} hosts */
function unknownHost(id, hosts) {
  const near = nearest(
    id,
    hosts.map((host) => host.id),
  );
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return new Failure(`There is no host ${id} in the fleet${hint}`, 'NO_HOST');
}

/** @param {FleetHost} host */
function goneMeanwhile({ id, tenants }) {
  const left = several(tenants, 'tenant');
  const text = `${id} is gone before it was drained: others take its ${left} as they are asked for.`;
  return new Failure(text, 'HOST_GONE');
}
