/** Names of hosts that tenants outlive: who has each, and since when none has. */
import { note, ok, warning } from './findings.js';

/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('./findings.js').Finding} Finding */

/** @param {Host} host @returns {Promise<Finding[]>} */
export async function names(host) {
  const all = await host.owned().catch(() => []);
  return all.map(({ name, ownerPid, sinceMs, runs, version, problem }) => {
    if (problem !== undefined) {
      const advice = 'end what is in the way, or use another name';
      return warning('survive', `${name}: cannot be asked`, problem, advice);
    }
    const since = `since ${new Date(sinceMs).toISOString()}`;
    const tenants = `${runs} ${runs === 1 ? 'tenant' : 'tenants'}`;
    if (ownerPid !== 0) {
      return ok('survive', `${name}: process ${ownerPid}, ${since}`, `has its ${tenants}`);
    }
    return note(
      'survive',
      `${name}: no host, ${since}`,
      `its ${tenants} of version ${version} run on until a host of this name comes, or their time is over`,
      `start that host, or end them: npx @absolutejs/runtime end ${name}`,
    );
  });
}
