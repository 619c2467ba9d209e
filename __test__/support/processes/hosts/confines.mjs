// Creates a runtime with the options that it is given as JSON, starts the tenant "app", and says
// what `inspect` says of it, or what the error was. Arguments: root, options.
import { createRuntime } from '@absolutejs/runtime';
import { say } from './words.mjs';

const [root = '', options = '{}'] = process.argv.slice(2);
const refused = (/** @type {any} */ { code, message }) => say('refused', { code, message });
const given = {
  source: { kind: /** @type {const} */ ('directory'), root },
  ...JSON.parse(options),
};

/** @type {import('@absolutejs/runtime').Runtime | undefined} */
let runtime;
try {
  runtime = createRuntime(given);
} catch (error) {
  refused(error);
}
try {
  await runtime?.ensure('app');
  const { limits, isolation } = runtime?.inspect('app') ?? {};
  if (runtime !== undefined) say('started', { limits, isolation });
} catch (error) {
  refused(error);
}
await runtime?.dispose();
