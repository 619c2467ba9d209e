// The arguments of the fleet's test, checked before anything is built.
import { readArguments, wrongUse } from '../../scripts/lib/arguments.mjs';
import { FAULTS } from './faults.mjs';

const USAGE = `usage: npm run test:fleet -- [--faults N] [--at-once N] [--hosts N] [--members N] [--keys N]
                             [--rate N] [--lease MS] [--engine bun|node] [--only KIND]… [--seed S]

  --faults N    how many faults there are (default 40)
  --at-once N   how many of them at the same time (default 2)
  --hosts N     how many hosts the fleet has (default 5)
  --members N   how many members etcd has (default 3)
  --keys N      how many tenants there are (default 20)
  --rate N      how many visits a second (default 40)
  --lease MS    the lease of a host (default 5000)
  --engine E    what the hosts run in (default node)
  --only KIND   only such faults: ${Object.keys(FAULTS).join(', ')}
  --seed S      which faults and visits (default 1); their timing is the machine's

Needs root, for network namespaces. Ends with exit code 1 when anything is not as it should be.`;

export function readFleetArguments() {
  const { values } = readArguments({
    usage: USAGE,
    flags: {
      faults: { type: 'string', default: '40' },
      'at-once': { type: 'string', default: '2' },
      hosts: { type: 'string', default: '5' },
      members: { type: 'string', default: '3' },
      keys: { type: 'string', default: '20' },
      rate: { type: 'string', default: '40' },
      lease: { type: 'string', default: '5000' },
      engine: { type: 'string', default: 'node' },
      only: { type: 'string', multiple: true, default: [] },
      seed: { type: 'string', default: '1' },
    },
  });
  /** @param {string} name @param {string} text @param {number} least */
  const number = (name, text, least) => {
    const value = Number(text);
    return Number.isSafeInteger(value) && value >= least
      ? value
      : wrongUse(`--${name} must be a whole number of at least ${least}, got ${text}`, USAGE);
  };
  const { engine, seed, only: kinds } = values;
  if (engine !== 'bun' && engine !== 'node') {
    return wrongUse(`--engine must be bun or node, got ${engine}`, USAGE);
  }
  const stranger = kinds.find((kind) => !(kind in FAULTS));
  if (stranger !== undefined) return wrongUse(`--only: there is no fault ${stranger}`, USAGE);
  return {
    faults: number('faults', values.faults, 0),
    atOnce: number('at-once', values['at-once'], 1),
    hosts: number('hosts', values.hosts, 1),
    members: number('members', values.members, 1),
    keys: number('keys', values.keys, 1),
    perSecond: number('rate', values.rate, 1),
    leaseMs: number('lease', values.lease, 1000),
    engine,
    kinds,
    seed,
  };
}
