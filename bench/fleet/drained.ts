// A host passes all its tenants to two others, while visitors ask for them through these.
import { setTimeout as pause } from 'node:timers/promises';
import { now } from '../../soak/fleet/settled.mjs';
import { isServed, type Row, size, startHosts, visitorsServed, visitsOf } from './row.ts';

const TENANTS = 100;
const VISITS_A_SECOND = 200;
/** Afterwards, so that what the drain leaves behind is seen, too. */
const GO_ON_MS = 3_000;
/** So little that one host gets all tenants while it takes any. */
const LIGHT = 1e-6;

export const drained: Row = {
  title: `a host with ${TENANTS} tenants is drained, under ${VISITS_A_SECOND} visits a second through two others`,
  size: size({ keys: TENANTS }),
  async measure(bed) {
    const [first] = await startHosts(bed, (name) => ({ weight: name === 'h1' ? 1 : LIGHT }));
    if (first === undefined) throw new Error('there is no host');
    const through = bed.hostNames.filter((name) => name !== 'h1');
    const visitors = await visitorsServed(bed, VISITS_A_SECOND, { through });
    const tenants: string[] = await first.order('tenants');
    const began = now();
    await first.order('drain');
    const took = now() - began;
    await pause(GO_ON_MS);
    const visits = (await visitsOf(visitors)).filter(({ sent }) => sent >= began);
    const longest = Math.max(...visits.map(({ sent, ended }) => ended - sent));
    return [
      { what: 'tenants that it had', value: tenants.length, unit: '' },
      { what: 'visits meanwhile', value: visits.length, unit: '' },
      {
        what: '… lost',
        value: visits.filter((visit) => !isServed(visit)).length,
        unit: '',
        goal: 0,
      },
      { what: '… the longest', value: longest / 1e3, unit: 'ms' },
      { what: 'the drain', value: took / 1e6, unit: 's' },
    ];
  },
};
