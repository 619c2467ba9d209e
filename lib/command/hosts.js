/** `hosts`: the hosts of the fleet, as the host that is asked sees it. */
import { clientOf } from './client.js';
import { table } from './table.js';
import { asJson } from './text.js';

/** @typedef {import('../../fleet.js').FleetHost} FleetHost */

/** @type {import('./table.js').Column<FleetHost>[]} */
const COLUMNS = [
  { title: 'HOST', cell: ({ id }) => id, rank: 0, isElastic: true },
  { title: 'STATE', cell: ({ state }) => state, rank: 0 },
  { title: 'TENANTS', cell: ({ tenants }) => String(tenants), rank: 1, side: 'right' },
  { title: 'WEIGHT', cell: ({ weight }) => String(weight), rank: 3, side: 'right' },
  { title: 'ZONE', cell: ({ zone = '' }) => zone, rank: 4, isElastic: true },
  { title: 'ADDRESS', cell: ({ address }) => address, rank: 2, isElastic: true },
];

/** @type {import('./commands.js').Run} */
export async function run({ options }, io) {
  const { hosts, host } = await clientOf(options, io.env).get('/fleet');
  if (options.json) return io.print(asJson(hosts));
  io.print(table(hosts, COLUMNS, io.columns(), io.paint).join('\n'));
  if (hosts.length === 0) io.complain(`${host} has not joined its fleet yet.`);
}
