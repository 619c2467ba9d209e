/** Which checks there are, in the order in which they are reported. */
import * as kernel from './kernel.js';
import * as limits from './limits.js';
import * as memory from './memory.js';
import * as programs from './programs.js';
import * as surroundings from './surroundings.js';

/** @typedef {import('./findings.js').Section} Section */

/**
 * Looks at everything. Starts one tenant, and changes nothing.
 *
 * @param {import('./host.js').Host} host
 * @param {{ tenants: number }} planned how many tenants are to be alive at once
 * @returns {Promise<Section[]>}
 */
export async function examine(host, { tenants }) {
  const basis = [programs.platform(host), programs.engine(host)];
  // There nothing else can be looked at, and an engine that is too old may not know what looking takes.
  if (basis.some(({ level }) => level === 'problem')) return [{ title: 'What runs', findings: basis }];
  const addon = programs.addon(host);
  const hasAddon = addon.every(({ level }) => level !== 'problem');
  const trial = hasAddon ? await programs.tryTenant(host) : { asksKernel: true };
  return [
    {
      title: 'What runs',
      findings: [...basis, ...addon, programs.bun(host), ...(hasAddon ? [programs.trialStart(trial)] : [])],
    },
    {
      title: 'Kernel',
      findings: [
        kernel.kernel(host, trial),
        kernel.procfs(host),
        ...kernel.sockDiag(trial),
        ...kernel.restrictions(host, trial),
        kernel.landlock(host),
      ],
    },
    {
      title: 'Room for tenants',
      findings: [
        memory.memory(host, tenants),
        limits.openFiles(host, tenants),
        ...limits.fileTable(host, tenants),
        limits.processes(host, tenants),
        ...limits.ports(host, tenants),
        ...limits.backlog(host),
        memory.processors(host),
        memory.swap(host),
      ],
    },
    {
      title: 'Surroundings',
      findings: [
        memory.shortage(host),
        ...memory.oomScore(host),
        surroundings.user(host),
        ...surroundings.proxy(host),
        surroundings.container(host),
        await surroundings.firstProcess(host),
      ],
    },
  ];
}
