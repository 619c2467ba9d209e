// The arguments of the soak of a day's traffic. Checked before anything is built, and by run.ts.
import { readArguments, wrongUse } from '../../scripts/lib/arguments.mjs';

const USAGE = `usage: npm run soak:sleep -- [--apps N] [--minutes M] [--megabytes MB] [--engine bun|node] [--seed S]

  --apps N        how many apps there are, of all kinds (default 60)
  --minutes M     how long the day takes (default 2)
  --megabytes MB  what all apps may hold of memory at any time (default 2,048)
  --engine E      what the host runs in (default bun)
  --seed S        who is visited when (default 1)

Ends with exit code 1 when an answer was wrong, or anything else is not as it should be. Express apps
are among them once \`npm run bench -- density\` has installed express.`;

export function readSleepArguments() {
  const { values } = readArguments({
    usage: USAGE,
    flags: {
      apps: { type: 'string', default: '60' },
      minutes: { type: 'string', default: '2' },
      megabytes: { type: 'string', default: '2048' },
      engine: { type: 'string', default: 'bun' },
      seed: { type: 'string', default: '1' },
    },
  });
  const number = (/** @type {'apps' | 'minutes' | 'megabytes'} */ name) => {
    const value = Number(values[name]);
    return value > 0 && value < Infinity
      ? value
      : wrongUse(`--${name} must be a number greater than 0, got ${values[name]}`, USAGE);
  };
  const { engine, seed } = values;
  if (engine !== 'bun' && engine !== 'node') {
    return wrongUse(`--engine must be bun or node, got ${engine}`, USAGE);
  }
  return {
    ...{ engine, seed, apps: Math.ceil(number('apps')) },
    ...{ minutes: number('minutes'), megabytes: number('megabytes') },
  };
}
