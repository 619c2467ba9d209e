// A host is killed under visits, again and again: how long it takes until each of its keys answers
// elsewhere.
import { setTimeout as pause } from 'node:timers/promises';
import type { Bed } from '../../soak/fleet/bed.mjs';
import type { Program } from '../../soak/fleet/programs.mjs';
import { now } from '../../soak/fleet/settled.mjs';
import { median, percentile } from '../lib/figures.ts';
import { isServed, type Row, size, startHosts, visitorsServed, visitsOf } from './row.ts';

const KILLS = 12;
/** Each key is asked for by somebody ten times a second: so exact are the figures. */
const VISITS_A_SECOND = 400;
const PATIENCE_MS = 60_000;
const BEATS_A_LEASE = 3;

export const killed: Row = {
  title: `a host of three is killed ${KILLS} times, each time at another moment between two beats; lease 5 s`,
  size: size({}),
  async measure(bed) {
    await startHosts(bed);
    const [times, seen]: [number[], number[]] = [[], []];
    for (let kill = 0; kill < KILLS; kill += 1) {
      const visitors = await visitorsServed(bed, VISITS_A_SECOND);
      await pause(Math.random() * (bed.size.leaseMs / BEATS_A_LEASE));
      const { name, host, keys } = await fullest(bed);
      host.signal('SIGKILL');
      const since = now();
      times.push(...(await answeredAgain(visitors, keys, since)));
      seen.push(...seenGone(bed, name, since));
      await Promise.all([visitsOf(visitors), host.ended]);
      await bed.startHost(name).until(({ kind }) => kind === 'ready');
    }
    const seconds = (value: number | undefined) => (value ?? NaN) / 1e6;
    return [
      { what: 'keys that a killed host had', value: times.length, unit: '' },
      {
        what: 'until others have heard that it is gone, p50',
        value: seconds(median(seen)),
        unit: 's',
      },
      {
        what: 'until one answers elsewhere, p50',
        value: seconds(median(times)),
        unit: 's',
        goal: 6.5,
      },
      { what: '… p99', value: seconds(percentile(times, 0.99)), unit: 's', goal: 8 },
      { what: '… the longest', value: seconds(Math.max(...times)), unit: 's' },
    ];
  },
};

/** When each of the other hosts has heard that this one is gone, in µs since that moment. */
function seenGone(bed: Bed, gone: string, since: number): number[] {
  const events = [...bed.hosts.values()].flatMap(({ told }) => told.map(({ event }) => event));
  const ofIt = events.filter((event) => event?.kind === 'host-gone' && event.host === gone);
  return ofIt.map(({ at }) => at * 1e3 - since).filter((after) => after > 0);
}

/** The host with most keys: one that has just come back has none. */
async function fullest(bed: Bed): Promise<{ name: string; host: Program; keys: string[] }> {
  const asked = [...bed.hosts].map(async ([name, host]) => {
    const keys: string[] = await host.order('tenants');
    return { name, host, keys };
  });
  const all = await Promise.all(asked);
  return all.reduce((most, one) => (one.keys.length > most.keys.length ? one : most));
}

/** How long after that moment each of the keys has answered a visitor who came later, in µs. */
async function answeredAgain(visitors: Program, keys: string[], since: number): Promise<number[]> {
  const times = new Map<string, number>();
  const late = pause(PATIENCE_MS, 'late', { ref: false });
  for (let next = 0; times.size < keys.length;) {
    if ((await Promise.race([visitors.more(), late])) === 'late') {
      throw new Error(`${keys.filter((key) => !times.has(key))} do not answer any more`);
    }
    for (; next < visitors.told.length; next += 1) {
      const visit = visitors.told[next];
      const isAnswer = isServed(visit) && visit.sent > since && keys.includes(visit.key);
      if (isAnswer && !times.has(visit.key)) times.set(visit.key, visit.ended - since);
    }
  }
  return [...times.values()];
}
