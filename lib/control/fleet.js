/** The fleet as operators see it from this host, and what they do to its other hosts. */
import { Refusal } from './refusal.js';
import { STATES } from './states.js';

/** @typedef {import('../../control.js').ControlFleetTenant} FleetTenant */
/** @typedef {Map<string, FleetTenant['state']>} States of the tenants of one host that are not stopped */

/**
 * @param {Pick<import('../runtime.js').Core, 'fleet'>} core
 * @param {() => void} drainOwn
 */
export function createFleetView(core, drainOwn) {
  function inFleet() {
    const { fleet } = core;
    if (fleet === undefined) throw new Refusal(404, 'NO_FLEET', 'this host is in no fleet');
    return fleet;
  }

  return {
    /** The hosts, as this one sees them. */
    hosts() {
      const { id, hosts } = inFleet();
      return { at: Date.now(), host: id, hosts: hosts() };
    },
    /**
     * Who has which key, as far as this host knows, and what its tenant does, which its host is
     * asked for. A host that does not answer is waited for no longer than an operator would.
     * @param {readonly string[]} keys none: all of them
     */
    async tenants(keys) {
      const { id, claims, ask } = inFleet();
      const claimed = claims([...new Set(keys)]);
      const hosts = new Set(claimed.filter(({ isVoid }) => !isVoid).map(({ host }) => host));
      /** @type {{ host: string, problem: string }[]} */
      const silent = [];
      /** @type {Map<string, States>} */
      const told = new Map();
      const listen = async (/** @type {string} */ host) => {
        try {
          told.set(host, statesIn(await ask(host, 'states')));
        } catch (error) {
          silent.push({ host, problem: /** @type {Error} */ (error).message });
        }
      };
      await Promise.all([...hosts].map(listen));
      const tenants = claimed.map(({ key, host, epoch, isVoid }) => {
        const states = isVoid ? NO_STATES : told.get(host);
        const isToldOf = states === undefined || states.has(key);
        const state = isToldOf ? (states?.get(key) ?? null) : 'stopped';
        return { key, host, hostIsGone: isVoid, epoch, state };
      });
      return { at: Date.now(), host: id, tenants, silent };
    },
    /** Has the host do what `POST /drain` does there. @param {string} host */
    async drainHost(host) {
      const { id, hosts, ask } = inFleet();
      const known = hosts().find((one) => one.id === host);
      const name = JSON.stringify(host.slice(0, 128));
      if (host === id) drainOwn();
      else if (known === undefined) {
        throw new Refusal(404, 'NO_HOST', `there is no host ${name} in the fleet`);
      } else if (known.state === 'gone') {
        const text = `host ${name} is gone: its keys are taken by others as they are asked for`;
        throw new Refusal(409, 'HOST_GONE', text);
      } else {
        await ask(host, 'drain').catch(({ message }) => {
          const text = `host ${name} cannot be asked at ${known.address}: ${message}`;
          throw new Refusal(503, 'HOST_UNREACHABLE', text);
        });
      }
      return { ...known, id: host, state: 'draining' };
    },
  };
}

/** @type {States} */
const NO_STATES = new Map();

/**
 * What a host has said, which may be of another version.
 * @param {unknown} told
 * @returns {States}
 */
function statesIn(told) {
  if (!Array.isArray(told)) throw new Error('its answer is not understood');
  return new Map(told.map(([key, state]) => [key, STATES.includes(state) ? state : null]));
}
