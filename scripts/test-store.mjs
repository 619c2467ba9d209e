// The contract of stores, with an etcd. `npm test` runs it.
import { readArguments } from './lib/arguments.mjs';
import { findEtcd } from './lib/etcd.mjs';
import { run, runScript, ScriptError } from './lib/run.mjs';

readArguments({ usage: 'usage: node scripts/test-store.mjs' });
await runScript(async () => {
  const program = etcd();
  /** @type {Record<string, string>} */
  const env = program === undefined ? {} : { STORE_TEST_ETCD: program };
  const { exitCode } = await run('cargo', ['test', '--package', 'store'], { env });
  return exitCode;
});

/** Without it only its own tests are skipped. */
function etcd() {
  try {
    const program = findEtcd();
    if (program === undefined)
      console.log('› without etcd: it is neither on PATH nor to be had by apt');
    return program;
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    console.log(`› without etcd: ${error.message}`);
    return undefined;
  }
}
