// The arguments of the soak of surviving hosts. Checked before anything is built, and by run.ts.
import { readArguments, wrongUse } from '../../scripts/lib/arguments.mjs';

const USAGE = `usage: npm run soak:survive -- [--losses N] [--tenants N] [--upgrades N] [--rate N] [--sockets N]
                                [--engine bun|node|both] [--seed S]

  --losses N    how many hosts are lost, one after the other (default 10,000; 0 with --upgrades)
  --tenants N   how many tenants outlive them (default 40)
  --upgrades N  how many hosts take over from one another, under load (default 0)
  --rate N      how many requests a second there are to be meanwhile (default 2,000)
  --sockets N   how many WebSockets (default 500)
  --engine E    what the hosts run in (default both)
  --seed S      how hosts are lost, and what they, their tenants and clients do (default 1)

Ends with exit code 1 when anything is not as it should be.`;

export function readSurviveArguments() {
  const { values } = readArguments({
    usage: USAGE,
    flags: {
      losses: { type: 'string' },
      tenants: { type: 'string', default: '40' },
      upgrades: { type: 'string', default: '0' },
      rate: { type: 'string', default: '2000' },
      sockets: { type: 'string', default: '500' },
      engine: { type: 'string', default: 'both' },
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
  const upgrades = number('upgrades', values.upgrades, 0);
  const losses = number('losses', values.losses ?? (upgrades > 0 ? '0' : '10000'), 0);
  if (losses + upgrades === 0)
    return wrongUse('--losses 0 without --upgrades is nothing to do', USAGE);
  const tenants = number('tenants', values.tenants, 1);
  const rate = number('rate', values.rate, 1);
  const sockets = number('sockets', values.sockets, 1);
  const { engine, seed } = values;
  if (engine !== 'bun' && engine !== 'node' && engine !== 'both') {
    return wrongUse(`--engine must be bun, node or both, got ${engine}`, USAGE);
  }
  return { engine, seed, losses, tenants, upgrades, rate, sockets };
}
