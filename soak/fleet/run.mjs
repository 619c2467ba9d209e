// The fleet's test: real etcd, real hosts, real tenants and visitors in network namespaces, faults
// by chance, and a witness that knows nothing of the product.
import { setTimeout as pause } from 'node:timers/promises';
import { Rng } from '../host/rng.mjs';
import { withBed } from './bed.mjs';
import { FAULTS } from './faults.mjs';
import { now, settled } from './settled.mjs';
import { ghosts, longestGap, overlaps, readTold } from './witness.mjs';

/**
 * @param {object} how
 * @param {number} how.faults
 * @param {number} how.atOnce so many faults at the same time
 * @param {number} how.hosts
 * @param {number} how.members
 * @param {number} how.keys
 * @param {number} how.perSecond visits
 * @param {number} how.leaseMs
 * @param {string} how.seed
 * @param {string} how.engine
 * @param {string[]} how.kinds of faults; none: all
 * @returns {Promise<string[]>} what was not as it must be
 */
export async function runFleet(how) {
  const rng = new Rng(how.seed);
  const began = performance.now();
  const say = (/** @type {string} */ what) =>
    console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${what}`);
  return withBed(how, async (bed) => {
    for (const name of bed.hostNames) bed.startHost(name);
    await Promise.all(
      [...bed.hosts.values()].map((host) => host.until(({ kind }) => kind === 'ready')),
    );
    say(`${how.hosts} hosts have joined`);
    const visitors = bed.startVisitors(how.perSecond, how.seed);
    const unsettled = [await settled(bed, visitors)];
    say('all keys are served by every gateway');
    const faultsFrom = now();
    await Promise.all(Array.from({ length: how.atOnce }, () => faulty(bed, rng, how, say)));
    bed.network.mendAll();
    const faultsTo = now();
    unsettled.push(await settled(bed, visitors));
    say('all keys are served by every gateway again');
    visitors.process.stdin.end();
    await visitors.ended;
    for (const host of bed.hosts.values()) host.say('close');
    for (const host of bed.hosts.values()) host.process.stdin.end();
    const ends = await Promise.all([...bed.hosts.values()].map(({ ended }) => ended));
    return [
      ...unsettled.flat(),
      ...ends
        .filter(({ code }) => code !== 0)
        .map(({ code, signal }) => `a host ended with ${code ?? signal}`),
      ...bed.tenantsAlive().map((pid) => `a tenant was left: ${pid}`),
      ...judge(bed.told(), visitors.told, { from: faultsFrom, to: faultsTo }, say),
    ];
  });
}

/** One fault after the other. */
async function faulty(
  /** @type {import('./bed.mjs').Bed} */ bed,
  /** @type {Rng} */ rng,
  /** @type {{ faults: number; atOnce: number; kinds: string[]; leaseMs: number }} */ how,
  /** @type {(what: string) => void} */ say,
) {
  const names = how.kinds.length > 0 ? how.kinds : Object.keys(FAULTS);
  const kinds = names.map((name) => /** @type {import('./faults.mjs').Fault} */ (FAULTS[name]));
  for (let count = 0; count < how.faults / how.atOnce; count += 1) {
    await rng.weighted(kinds).run(bed, rng, say);
    await pause(Math.round(how.leaseMs * 0.5 * rng.fraction()));
  }
}

/**
 * @param {string} text what the tenants wrote
 * @param {import('./witness.mjs').Visit[]} visits
 * @param {{ from: number; to: number }} faults when there were some
 * @param {(what: string) => void} say
 */
function judge(text, visits, faults, say) {
  const told = readTold(text);
  const counts = { 200: 0 };
  for (const { status, failed } of visits) {
    const what = /** @type {200} */ (failed ?? status);
    counts[what] = (counts[what] ?? 0) + 1;
  }
  const during = visits.filter(({ sent }) => sent >= faults.from && sent < faults.to).length;
  const gap = longestGap(visits, ({ failed }) => failed === undefined);
  say(`${visits.length} visits, ${during} of them during faults: ${JSON.stringify(counts)}`);
  say(`${told.filter(({ what }) => what === 'begin').length} processes of tenants`);
  say(`the longest that a key was refused: ${gap.key} for ${Math.round(gap.ms)} ms`);
  return [
    ...overlaps(told),
    ...ghosts(visits),
    ...visits
      .filter(({ isWhole }) => isWhole === false)
      .map(({ key }) => `a wrong answer of ${key}`),
  ];
}
