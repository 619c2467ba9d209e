// The soak's arguments. Checked by scripts/soak.mjs before anything is built, and by soak/run.ts.
import { readArguments, wrongUse } from '../scripts/lib/arguments.mjs';

const USAGE = `usage: npm run soak -- [--minutes N | --starts N] [--seed S] [--engine bun|node] [--lanes N]

  --minutes N   goes on for so long (default 1)
  --starts N    goes on until the measured host has started so many tenants
  --seed S      what is done, and to whom, follows from it (default 1); when it is done does not
  --engine E    what the hosts run in (default bun)
  --lanes N     callers at once in the measured host (default 24)
  --until-found ends with the first thing that is not as it should be, and says how many starts that took
  --verbose     says everything that was done and how it ended

Ends with exit code 1 when anything is not as it should be.`;

export function readSoakArguments() {
  const { values } = readArguments({
    usage: USAGE,
    flags: {
      minutes: { type: 'string' },
      starts: { type: 'string' },
      seed: { type: 'string', default: '1' },
      engine: { type: 'string', default: 'bun' },
      lanes: { type: 'string', default: '24' },
      'until-found': { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
    },
  });
  const number = (/** @type {'minutes' | 'starts' | 'lanes'} */ name) => {
    const value = Number(values[name] ?? Infinity);
    return value > 0
      ? value
      : wrongUse(`--${name} must be a number greater than 0, got ${values[name]}`, USAGE);
  };
  const { engine } = /** @type {{ engine: 'bun' | 'node' }} */ (values);
  if (engine !== 'bun' && engine !== 'node') {
    return wrongUse(`--engine must be bun or node, got ${engine}`, USAGE);
  }
  const minutes =
    values.starts === undefined && values.minutes === undefined ? 1 : number('minutes');
  return { ...values, engine, minutes, starts: number('starts'), lanes: number('lanes') };
}
