/** A host with one tenant. trial.js starts it and reads the line of JSON that it prints. */
import { createRuntime } from '../runtime.js';

const [root = '', command = 'null'] = process.argv.slice(2);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  command: JSON.parse(command) ?? undefined,
});

console.log(JSON.stringify(await trial()));

/** @returns {Promise<{ readyMs: number } | { failure: string }>} */
async function trial() {
  try {
    const startedAtMs = performance.now();
    await runtime.ensure('trial');
    const readyMs = performance.now() - startedAtMs;
    await runtime.kill('trial');
    await runtime.dispose();
    return { readyMs };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}
