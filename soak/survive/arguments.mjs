// The arguments of the soak of hosts that are lost. Checked before anything is built, and by run.ts.
import { readArguments, wrongUse } from '../../scripts/lib/arguments.mjs';

const USAGE = `usage: npm run soak:survive -- [--losses N] [--tenants N] [--engine bun|node|both] [--seed S]

  --losses N   how many hosts are lost, one after the other (default 10,000)
  --tenants N  how many tenants outlive them (default 40)
  --engine E   what the hosts run in (default both)
  --seed S     how hosts are lost, and what they and their tenants do (default 1)

Ends with exit code 1 when anything is not as it should be.`;

export function readSurviveArguments() {
  const { values } = readArguments({
    usage: USAGE,
    flags: {
      losses: { type: 'string', default: '10000' },
      tenants: { type: 'string', default: '40' },
      engine: { type: 'string', default: 'both' },
      seed: { type: 'string', default: '1' },
    },
  });
  const number = (/** @type {'losses' | 'tenants'} */ name) => {
    const value = Number(values[name]);
    const isRight = Number.isSafeInteger(value) && value > 0;
    return isRight
      ? value
      : wrongUse(`--${name} must be a whole number greater than 0, got ${values[name]}`, USAGE);
  };
  const { engine } = values;
  if (engine !== 'bun' && engine !== 'node' && engine !== 'both') {
    return wrongUse(`--engine must be bun, node or both, got ${engine}`, USAGE);
  }
  return { engine, seed: values.seed, losses: number('losses'), tenants: number('tenants') };
}
