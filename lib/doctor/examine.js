/** The list of checks, in the order in which they are reported. */
import * as confinement from './confinement.js';
import { note } from './findings.js';
import * as kernel from './kernel.js';
import * as limits from './limits.js';
import * as memory from './memory.js';
import { names } from './names.js';
import * as programs from './programs.js';
import { sleep } from './sleep.js';
import * as surroundings from './surroundings.js';

/** @typedef {import('./findings.js').Section} Section */

/**
 * Runs all checks. Starts one tenant, and changes nothing on the machine.
 *
 * @param {import('./host.js').Host} host
 * @param {{ tenants: number }} planned how many tenants are to be alive at once
 * @returns {Promise<Section[]>}
 */
export async function examine(host, { tenants }) {
  const basis = [programs.platform(host), programs.engine(host)];
  // On such a platform no further check can run, and an engine that is too old may lack what the
  // checks use.
  if (basis.some(({ level }) => level === 'problem'))
    return [{ title: 'What runs', findings: basis }];
  const addon = programs.addon(host);
  const hasAddon = addon.every(({ level }) => level !== 'problem');
  const trial = hasAddon ? await programs.tryTenant(host) : { asksKernel: true };
  const runs = {
    title: 'What runs',
    findings: [
      ...basis,
      ...addon,
      programs.bun(host),
      ...(hasAddon ? [programs.trialStart(trial)] : []),
    ],
  };
  const facts = host.facts();
  if (facts === undefined) {
    const means = 'it is the addon that reads what they are, and it could not be loaded';
    const left = note('kernel, limits', 'not looked at', means);
    const around = [
      surroundings.user(host),
      ...surroundings.proxy(host),
      surroundings.container(host, facts),
    ];
    return [runs, { title: 'Surroundings', findings: [left, ...around] }];
  }
  return [
    runs,
    {
      title: 'Kernel',
      findings: [
        kernel.kernel(facts, trial),
        kernel.procfs(facts, host.uid),
        ...kernel.sockDiag(trial),
        ...kernel.restrictions(facts, trial),
      ],
    },
    {
      title: 'Room for tenants',
      findings: [
        memory.memory(facts, tenants),
        limits.openFiles(facts, tenants),
        ...limits.fileTable(facts, tenants),
        limits.processes(facts, host.uid, tenants),
        ...limits.ports(facts, tenants),
        ...limits.backlog(facts),
        memory.processors(facts, host.cores),
        memory.swap(facts),
        sleep(host, facts),
        ...memory.pressure(facts),
      ],
    },
    {
      title: 'Limits and walls',
      findings: [...confinement.limits(facts), ...confinement.walls(facts, host.uid)],
    },
    {
      title: 'Surroundings',
      findings: [
        memory.shortage(facts),
        ...memory.oomScore(facts),
        surroundings.user(host),
        ...surroundings.proxy(host),
        surroundings.container(host, facts),
        ...surroundings.temporary(facts),
        await surroundings.firstProcess(facts, host),
        ...(await names(host)),
      ],
    },
  ];
}
