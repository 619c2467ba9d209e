// What a host uses for its fleet while nothing happens: one with ten thousand tenants, beside one that
// has as many and is in no fleet; one that joined before them, whose tenants they are not, and one that
// joined after, beside one that is in no fleet. The tenants are pretended ones.
import { setTimeout as pause } from 'node:timers/promises';
import type { Program } from '../../soak/fleet/programs.mjs';
import { cpuNs, ownMb } from './proc.ts';
import { type Figure, type Row, size } from './row.ts';

const TENANTS = 10_000;
const WATCHED_MS = 30_000;
/** After the claims: an engine gives memory back in its own time. */
const COLLECTIONS = 4;
const REST_MS = 1_500;
/** So little that the other host gets all keys. */
const LIGHT = 1e-6;
const [CPU_GOAL_PERCENT, MEMORY_GOAL_MB] = [0.5, 20];

export const idle: Row = {
  title: `hosts of a fleet with ${TENANTS} tenants, all of one of them, while nothing happens; lease 5 s`,
  size: size({ hosts: 5, keys: 1 }),
  async measure(bed) {
    const start = async (...args: Parameters<typeof bed.startHost>) => {
      const host = bed.startHost(...args);
      await host.until(({ kind }) => kind === 'ready');
      return host;
    };
    const inNone = { endpoints: undefined };
    const [empty, full] = [
      await start('h4', inNone),
      await start('h5', { ...inNone, pretends: true }),
    ];
    const owner = await start('h1', { pretends: true });
    const early = await start('h2', { weight: LIGHT });
    await full.order(`ensure ${TENANTS}`);
    await owner.order(`ensure ${TENANTS}`);
    const late = await start('h3', { weight: LIGHT });
    const hosts = [empty, full, owner, early, late];
    const used = await uses(hosts);
    const view: { id: string; tenants: number }[] = await late.order('hosts');
    const known = view.find(({ id }) => id === 'h1')?.tenants ?? 0;
    if (known !== TENANTS) throw new Error(`${known} keys of ${TENANTS} are claimed`);
    const figures: Figure[] = [];
    const tell = (who: string, host: Program, inNoFleet: Program) => {
      const [own, base] = [used.get(host)!, used.get(inNoFleet)!];
      figures.push(
        ...figure('CPU', who, own.percent, base.percent, '% of a core', CPU_GOAL_PERCENT),
        ...figure('memory', who, own.mb, base.mb, 'MB', MEMORY_GOAL_MB),
      );
    };
    tell('a host whose tenants they are', owner, full);
    tell('one that had joined before', early, empty);
    tell('one that has joined after', late, empty);
    return figures;
  },
};

/** What each of the hosts uses while nothing is asked of any. */
async function uses(hosts: Program[]): Promise<Map<Program, { percent: number; mb: number }>> {
  for (let times = 0; times < COLLECTIONS; times += 1) {
    for (const host of hosts) await host.order('collect');
    await pause(REST_MS);
  }
  const cpu = () => hosts.map((host) => cpuNs(pidOf(host)));
  const [from, began] = [cpu(), performance.now()];
  await pause(WATCHED_MS);
  const wallNs = (performance.now() - began) * 1e6;
  const percents = cpu().map((ns, index) => (100 * (ns - (from[index] ?? NaN))) / wallNs);
  const all = hosts.map((host, index) => {
    return [host, { percent: percents[index] ?? NaN, mb: ownMb(pidOf(host)) }] as const;
  });
  return new Map(all);
}

function figure(
  what: string,
  who: string,
  own: number,
  base: number,
  unit: string,
  goal: number,
): Figure[] {
  return [
    { what: `${what}, ${who}`, value: own, unit },
    { what: `… more than in no fleet`, value: own - base, unit, goal },
  ];
}

const pidOf = ({ process: { pid } }: Program) => pid ?? 0;
