/** `ps --fleet`: who has which key in the whole fleet, and what its tenant does. */
import { clientOf, queryOf } from './client.js';
import { Failure, UsageError } from './mistakes.js';
import { table } from './table.js';
import { COLOURS, stateInWords } from './tenants.js';
import { BOLD } from './terminal.js';
import { asJson, harmless } from './text.js';
import { several } from './words.js';

/** @typedef {import('../../control.js').ControlFleetTenant} Tenant */

/** @type {import('./table.js').Column<Tenant>[]} */
const COLUMNS = [
  { title: 'KEY', cell: ({ key }) => key, rank: 0, isElastic: true, colour: () => BOLD },
  {
    title: 'STATE',
    cell: ({ state }) => (state === null ? '?' : stateInWords({ state, depth: null })),
    rank: 0,
    colour: ({ state }) => COLOURS[state ?? ''],
  },
  {
    title: 'HOST',
    cell: ({ host, hostIsGone }) => (hostIsGone ? `${host} (gone)` : host),
    rank: 0,
    isElastic: true,
  },
  { title: 'EPOCH', cell: ({ epoch }) => epoch, rank: 1, side: 'right' },
];

/** @type {import('./commands.js').Run} */
export async function run({ words, options, said }, io) {
  const { sort, state: wanted } = options;
  if (said.has('sort') && sort !== 'key' && sort !== 'problems') {
    throw new UsageError(`--sort with --fleet must be problems or key, got ${sort}`);
  }
  const path = `/fleet/tenants${queryOf({ key: words })}`;
  const { tenants, silent } = await clientOf(options, io.env).get(path);
  const known = new Set(tenants.map((/** @type {Tenant} */ { key }) => key));
  const missing = words.find((key) => !known.has(key));
  if (missing !== undefined) {
    throw new Failure(`No host of the fleet has the tenant ${missing}.`, 'NOT_FOUND', missing);
  }
  const shown = sorted(tenants, sort).filter(
    ({ state }) => wanted === undefined || state === wanted,
  );
  if (options.json) return io.print(asJson(shown));
  if (options.quiet) {
    // A program that reads the keys gets them as they are.
    for (const { key } of shown) io.print(io.isTerminal ? harmless(key) : key);
    return;
  }
  io.print(table(shown, COLUMNS, io.columns(), io.paint).join('\n'));
  if (tenants.length === 0) io.complain('No host of the fleet has a tenant yet.');
  else if (shown.length === 0) io.complain(`No tenant is ${wanted}.`);
  for (const { host, problem } of silent) {
    const its = several(countOf(tenants, host), 'tenant');
    io.complain(`${host} cannot be asked about its ${its}: ${harmless(problem)}.`);
  }
}

/** @param {readonly Tenant[]} tenants @param {string} host */
const countOf = (tenants, host) =>
  tenants.filter((tenant) => tenant.host === host && !tenant.hostIsGone).length;

/** @param {readonly Tenant[]} tenants @param {string} by */
function sorted(tenants, by) {
  // What is wrong, and then what is not known.
  const first = by === 'key' ? [] : ['failed', 'backing-off', null];
  const rank = (/** @type {Tenant} */ { state }) => {
    const at = first.indexOf(state);
    return at < 0 ? first.length : at;
  };
  return tenants.toSorted((a, b) => {
    const [one, other] = [rank(a), rank(b)];
    return one === other ? (a.key < b.key ? -1 : 1) : one - other;
  });
}
