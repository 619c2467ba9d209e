// The fleet's test: real etcd, real hosts, real tenants and visitors in network namespaces, faults
// by chance, and a witness that knows nothing of the product.
import { setTimeout as pause } from 'node:timers/promises';
import { Rng } from '../host/rng.mjs';
import { Bed } from './bed.mjs';
import { FAULTS } from './faults.mjs';
import { ghosts, longestGap, overlaps, readTold } from './witness.mjs';

/** Once everything is mended, all keys must be served everywhere within so many leases. */
const SETTLED_LEASES = 6;

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
  const bed = new Bed(how);
  // Namespaces and programs outlive a script that is interrupted.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => void bed.close().finally(() => process.exit(1)));
  }
  const rng = new Rng(how.seed);
  const began = performance.now();
  const say = (/** @type {string} */ what) =>
    console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${what}`);
  try {
    await bed.startStore();
    for (const name of bed.hostNames) bed.startHost(name);
    await Promise.all(
      [...bed.hosts.values()].map((host) => host.until(({ kind }) => kind === 'ready')),
    );
    say(`${how.hosts} hosts have joined`);
    const visitors = bed.startVisitors(how.perSecond, how.seed);
    const unsettled = [await settled(bed, visitors, how.leaseMs)];
    say('all keys are served by every gateway');
    const faultsFrom = now();
    await Promise.all(Array.from({ length: how.atOnce }, () => faulty(bed, rng, how, say)));
    bed.network.mendAll();
    const faultsTo = now();
    unsettled.push(await settled(bed, visitors, how.leaseMs));
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
  } catch (error) {
    for (const [name, host] of bed.hosts) if (host.complaints) say(`${name}: ${host.complaints}`);
    throw error;
  } finally {
    await bed.close();
  }
}

/** As tenants have it. */
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

/** One fault after the other. */
async function faulty(
  /** @type {Bed} */ bed,
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
 * Waits until each gateway has served each key after this moment.
 * @returns {Promise<string[]>} which have not in time
 */
async function settled(
  /** @type {Bed} */ bed,
  /** @type {import('./programs.mjs').Program} */ visitors,
  /** @type {number} */ leaseMs,
) {
  const from = now();
  const missing = new Set(
    bed.hostNames.flatMap((name) =>
      bed.keys.map((key) => `${key} by ${bed.network.addressOf(name)}`),
    ),
  );
  const late = pause(leaseMs * SETTLED_LEASES + 60_000, 'late', { ref: false });
  let next = visitors.told.length;
  while (missing.size > 0) {
    if ((await Promise.race([visitors.more(), late])) === 'late') break;
    for (; next < visitors.told.length; next += 1) {
      const { sent, status, gateway, key } = visitors.told[next];
      if (sent >= from && status === 200) missing.delete(`${key} by ${gateway}`);
    }
  }
  return [...missing].map((what) => `${what} was not served in time`);
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
