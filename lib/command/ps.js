/** `ps`: the tenants as they are now. */
import { nearest } from '../checks.js';
import { lookAtAll } from '../survive/names.js';
import { clientOf } from './client.js';
import { Failure } from './mistakes.js';
import { hostTrouble } from './host.js';
import { leftInWords } from './survival.js';
import { COLUMNS, problemOf, sorted } from './tenants.js';
import { table } from './table.js';
import { DIM } from './terminal.js';
import { asJson, harmless } from './text.js';
import { several } from './words.js';

/** Problems beyond these are only counted, unless their tenants were asked for by key. */
const SHOWN_PROBLEMS = 8;

/** @type {import('./commands.js').Run} */
export async function run(given, io) {
  if (given.options.fleet) return (await import('./ps-fleet.js')).run(given, io);
  const { words, options, said } = given;
  const client = clientOf(options, io.env);
  const isForPeople = !options.json && !options.quiet;
  const host = isForPeople ? client.get('/host').catch(() => null) : null;
  const { tenants: all } = await client
    .get('/tenants')
    .catch((error) => withoutHost(error, io.env));
  const tenants = chosen(all, words, options.state);
  // The host gives them in the order of what is wrong.
  const shown = said.has('sort') ? sorted(tenants, options.sort) : tenants;
  if (options.json) return io.print(asJson(shown));
  if (options.quiet) {
    // A program that reads the keys gets them as they are.
    for (const { key } of shown) io.print(io.isTerminal ? harmless(key) : key);
    return;
  }
  io.print(listing(shown, words.length > 0, io).join('\n'));
  if (shown.length === 0) io.complain(nothing(all.length, options.state));
  const trouble = hostTrouble(await host);
  if (trouble !== undefined) io.complain(trouble);
}

/**
 * Where there is no host, tenants may have outlived one.
 *
 * @param {any} error
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<never>}
 */
async function withoutHost(error, env) {
  if (error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED') throw error;
  const left = (await lookAtAll(env).catch(() => [])).filter(
    ({ ownerPid, problem }) => ownerPid === 0 && !problem,
  );
  const lines = left.map((owned) => `${leftInWords(owned)}.`);
  throw new Failure([error.message, ...lines].join('\n'), error.code);
}

/**
 * The tenants of these keys, or all of them, in this state.
 *
 * @param {any[]} tenants
 * @param {readonly string[]} keys
 * @param {string} [state]
 */
export function chosen(tenants, keys, state) {
  const known = new Set(tenants.map(({ key }) => key));
  for (const key of keys) if (!known.has(key)) throw unknownKey(key, [...known]);
  return tenants
    .filter(({ key }) => keys.length === 0 || keys.includes(key))
    .filter((tenant) => state === undefined || tenant.state === state);
}

/** @param {string} key @param {string[]} known */
export function unknownKey(key, known) {
  const near = nearest(key, known);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return new Failure(`There is no tenant ${key}${hint}`, 'NOT_FOUND', key);
}

/**
 * A table, and below it what is wrong.
 *
 * @param {any[]} tenants
 * @param {boolean} isAskedFor by key: then everything is told of each
 * @param {import('./terminal.js').Io} io
 */
export function listing(tenants, isAskedFor, io) {
  const lines = table(tenants, COLUMNS, io.columns(), io.paint);
  const wrong = tenants.filter(({ problem }) => problem);
  const told = isAskedFor ? wrong : wrong.slice(0, SHOWN_PROBLEMS);
  for (const tenant of told) {
    lines.push('', ...problemOf(tenant, io, isAskedFor ? Infinity : undefined));
  }
  const left = wrong.length - told.length;
  if (left > 0) lines.push('', io.paint(DIM, `and ${several(left, 'problem')} more: ps KEY`));
  return lines;
}

/** @param {number} count of all tenants @param {string} [state] */
const nothing = (count, state) =>
  count === 0 ? 'This host has no tenants: its directory is empty.' : `No tenant is ${state}.`;
