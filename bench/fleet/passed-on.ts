// What it costs that a request is passed on to another host, against one whose tenant is at the host
// that was asked: the same visitors, tenant and machine, so the difference is the way between hosts.
import { fileURLToPath } from 'node:url';
import type { Bed } from '../../soak/fleet/bed.mjs';
import type { Program } from '../../soak/fleet/programs.mjs';
import { median } from '../lib/figures.ts';
import { cpuNs } from './proc.ts';
import { type Row, size, startHosts, visitorsServed, visitsOf } from './row.ts';

const ROUNDS = 5;
const CONNECTIONS = 8;
const REQUESTS = 8_000;
const ONE_BY_ONE = 2_000;
const client = fileURLToPath(new URL('asking.mjs', import.meta.url));

export const passedOn: Row = {
  title: 'a request that is passed on to another host, against a local one',
  size: size({ members: 1, hosts: 2, keys: 8 }),
  async measure(bed) {
    const hosts = await startHosts(bed);
    await visitsOf(await visitorsServed(bed, 40));
    const keys = await Promise.all(hosts.map(async (host) => (await host.order('tenants'))[0]));
    const [cpu, p50]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      const ways = [];
      for (const key of keys) ways.push(await ask(bed, hosts, key));
      const [local, passed] = ways;
      if (local === undefined || passed === undefined) throw new Error('there are two hosts');
      cpu.push(passed.cpuUs - local.cpuUs);
      p50.push(passed.p50Us - local.p50Us);
      const words = (way: typeof local) =>
        `${way.cpuUs.toFixed(1)} µs, p50 ${way.p50Us.toFixed(0)} µs`;
      console.log(`  round ${round + 1}: local ${words(local)}; passed on ${words(passed)}`);
    }
    return [
      { what: 'CPU time of both hosts, more', value: median(cpu) ?? NaN, unit: 'µs', goal: 60 },
      {
        what: 'p50 of one after the other, more',
        value: (median(p50) ?? NaN) / 1e3,
        unit: 'ms',
        goal: 0.3,
      },
    ];
  },
};

/** Asks the first host for the key. */
async function ask(bed: Bed, hosts: Program[], key: string | undefined) {
  const at = { host: bed.network.addressOf('h1'), port: 8080, key: `${key}.fleet.test` };
  const run = async (connections: number, requests: number): Promise<number> => {
    const asking = bed.startInLab(client, { ...at, connections, requests });
    const { p50Us } = await asking.until(({ p50Us }) => p50Us !== undefined);
    await asking.ended;
    return p50Us;
  };
  const cpu = () => hosts.reduce((sum, { process }) => sum + cpuNs(process.pid ?? 0), 0);
  await run(CONNECTIONS, 200);
  const before = cpu();
  await run(CONNECTIONS, REQUESTS);
  const cpuUs = (cpu() - before) / 1e3 / REQUESTS;
  return { cpuUs, p50Us: await run(1, ONE_BY_ONE) };
}
