// The arguments of the gateway's soak. Checked before anything is built, and by run.mjs.
import { readArguments, wrongUse } from '../../scripts/lib/arguments.mjs';

const USAGE = `usage: npm run soak:gateway -- [--requests N] [--changes N] [--engine bun|node] [--seed S]

  --requests N  how many requests are made, 32 at a time (default 20,000)
  --changes N   how many replaces, restarts and crashes there are meanwhile (default 200)
  --engine E    what the host runs in (default bun)
  --seed S      which tenants are asked and changed (default 1)

Ends with exit code 1 when a request was lost.`;

export function readGatewayArguments() {
  const { values } = readArguments({
    usage: USAGE,
    flags: {
      requests: { type: 'string', default: '20000' },
      changes: { type: 'string', default: '200' },
      engine: { type: 'string', default: 'bun' },
      seed: { type: 'string', default: '1' },
    },
  });
  const number = (/** @type {'requests' | 'changes'} */ name) => {
    const value = Number(values[name]);
    const isRight = Number.isSafeInteger(value) && value > 0;
    return isRight
      ? value
      : wrongUse(`--${name} must be a whole number greater than 0, got ${values[name]}`, USAGE);
  };
  if (values.engine !== 'bun' && values.engine !== 'node') {
    return wrongUse(`--engine must be bun or node, got ${values.engine}`, USAGE);
  }
  return { ...values, requests: number('requests'), changes: number('changes') };
}
