// All of etcd is gone for half a lease: stopped, and then killed and started again.
import { setTimeout as pause } from 'node:timers/promises';
import type { Bed } from '../../soak/fleet/bed.mjs';
import { now } from '../../soak/fleet/settled.mjs';
import type { Visit } from '../../soak/fleet/witness.mjs';
import {
  type Figure,
  isServed,
  type Row,
  served,
  size,
  startHosts,
  visitorsServed,
  visitsOf,
} from './row.ts';

const GONE_MS = 30_000;
const RUNNING = 30;
const NEW = 10;
const VISITS_A_SECOND = 60;
const NEW_VISITS_A_SECOND = 4;

type Member = Bed['members'] extends Map<string, infer M> ? M : never;

interface Outage {
  name: string;
  begin: (member: Member) => unknown;
  end: (member: Member) => unknown;
}

const OUTAGES: Outage[] = [
  { name: 'stopped', begin: (member) => member.pause(), end: (member) => member.resume() },
  { name: 'killed', begin: (member) => member.kill(), end: (member) => member.start() },
];

export const storeGone: Row = {
  title: `etcd is gone for ${GONE_MS / 1000} s, twice, under ${VISITS_A_SECOND} visits a second; lease 60 s`,
  size: size({ hosts: 2, keys: RUNNING + OUTAGES.length * NEW, leaseMs: 60_000 }),
  async measure(bed) {
    await startHosts(bed);
    const figures: Figure[] = [];
    for (const [index, outage] of OUTAGES.entries()) {
      figures.push(...(await measure(bed, outage, RUNNING + index * NEW)));
    }
    return figures;
  },
};

/** Keys from the number on are not claimed yet. */
async function measure(bed: Bed, outage: Outage, from: number): Promise<Figure[]> {
  const running = { keys: bed.keys.slice(0, RUNNING) };
  const fresh = { keys: bed.keys.slice(from, from + NEW) };
  const visitors = await visitorsServed(bed, VISITS_A_SECOND, running);
  const members = [...bed.members.values()];
  const goneFrom = now();
  await Promise.all(members.map(outage.begin));
  const newcomers = bed.startVisitors(NEW_VISITS_A_SECOND, 'bench', fresh);
  await pause(GONE_MS);
  await Promise.all(members.map(outage.end));
  const backAt = now();
  await served(bed, newcomers, fresh);
  await served(bed, visitors, running);
  const all = (await visitsOf(visitors)).filter(({ sent }) => sent >= goneFrom);
  const strangers = await visitsOf(newcomers);
  const first = Math.min(...strangers.filter(isServed).map(({ ended }) => ended));
  const fenced = [...bed.hosts.values()].flatMap(({ told }) =>
    told.filter(({ event }) => event?.kind === 'fenced'),
  );
  const lost = all.filter((visit) => !isServed(visit)).length;
  const refused = strangers.filter((visit) => !isServed(visit));
  const rude = refused.filter((visit) => !isPolite(visit));
  for (const visit of rude.slice(0, 3)) console.log(JSON.stringify(visit));
  const of = (what: string) => `${outage.name}: ${what}`;
  return [
    { what: of('visits to what runs'), value: all.length, unit: '' },
    { what: of('… lost'), value: lost, unit: '', goal: 0 },
    { what: of('hosts that were fenced'), value: fenced.length, unit: '', goal: 0 },
    { what: of('visits to new keys'), value: strangers.length, unit: '' },
    { what: of('… refused with Retry-After'), value: refused.length - rude.length, unit: '' },
    { what: of('… neither served nor refused so'), value: rude.length, unit: '', goal: 0 },
    { what: of('a new key is served after its return'), value: (first - backAt) / 1e6, unit: 's' },
  ];
}

const isPolite = ({ status, retryAfter }: Visit) => status === 503 && Number(retryAfter) > 0;
