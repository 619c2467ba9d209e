// `npm run demo`: serves the tenants of examples/tenants, each woken by its first request.
// With `--once` it tries everything itself, tells what happened, and exits.
import { isOnce } from './host/arguments.mjs';
import { once } from './host/once.ts';
import { startDemo } from './host/demo.ts';

const PORT = 3_000;

if (isOnce()) process.exit(await once());

const demo = await startDemo(
  {
    idleAfterMs: 15_000,
    sweepIntervalMs: 1_000,
    observeIntervalMs: 1_000,
    backoff: { baseMs: 3_000, maxMs: 30_000 },
  },
  PORT,
);
const at = `localhost:${demo.port}`;
console.log(`
  Live page   http://localhost:${demo.pagePort}
  Tenants     ${demo.board
    .rows()
    .map(({ name }) => `http://${name}.${at}`)
    .join('\n              ')}

  Open a tenant and it wakes; leave it alone for 15 s and it is stopped. Ctrl-C stops everything.
  A program that does not know *.localhost sets the header itself:
  curl -H 'Host: hello.localhost' http://127.0.0.1:${demo.port}/
`);

let stopping = false;
async function stop(): Promise<void> {
  // Ctrl-C may arrive twice: from the terminal, and passed on by npm.
  if (stopping) return;
  stopping = true;
  const { total } = demo.runtime.stats();
  console.log(`\nStopping ${total} tenant${total === 1 ? '' : 's'} …`);
  await demo.stop();
  console.log('Stopped.');
  process.exit(0);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => void stop());
