// What the rows of the fleet's benchmarks have in common.
import type { Bed } from '../../soak/fleet/bed.mjs';
import type { Program } from '../../soak/fleet/programs.mjs';
import { settled } from '../../soak/fleet/settled.mjs';
import type { Visit } from '../../soak/fleet/witness.mjs';

export interface Figure {
  what: string;
  value: number;
  unit: string;
  /** At most so much. */
  goal?: number;
}

export interface Row {
  title: string;
  size: ConstructorParameters<typeof Bed>[0];
  measure: (bed: Bed) => Promise<Figure[]>;
}

/** The bed of a row, but for what it says otherwise. */
export const size = (own: Partial<Row['size']>): Row['size'] => ({
  members: 3,
  hosts: 3,
  keys: 40,
  leaseMs: 5_000,
  engine: 'node',
  ...own,
});

/** Starts hosts, and waits until all of them have joined. */
export async function startHosts(
  bed: Bed,
  settings: (name: string) => Parameters<Bed['startHost']>[1] = () => undefined,
): Promise<Program[]> {
  const hosts = bed.hostNames.map((name) => bed.startHost(name, settings(name)));
  await Promise.all(hosts.map((host) => host.until(({ kind }) => kind === 'ready')));
  return hosts;
}

type Which = Parameters<Bed['startVisitors']>[2];

/** Starts visitors, and waits until they are served whatever they ask for. */
export async function visitorsServed(bed: Bed, perSecond: number, which?: Which): Promise<Program> {
  const visitors = bed.startVisitors(perSecond, 'bench', which);
  await served(bed, visitors, which);
  return visitors;
}

/** Waits until the visitors are served whatever they ask for, from now on. */
export async function served(bed: Bed, visitors: Program, which?: Which): Promise<void> {
  const missing = await settled(bed, visitors, which);
  if (missing.length > 0) throw new Error(missing.join('\n'));
}

/** Ends visitors when the last of them has been answered. Returns what they saw. */
export async function visitsOf(visitors: Program): Promise<Visit[]> {
  visitors.process.stdin.end();
  await visitors.ended;
  return visitors.told;
}

export const isServed = ({ status, isWhole }: Visit) => status === 200 && isWhole === true;
