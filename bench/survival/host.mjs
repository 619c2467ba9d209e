// A host for the benchmark of survival. Argument: { root, port, name } as JSON; without a name
// nothing outlives it.
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';

const { root, port, name } = JSON.parse(process.argv[2] ?? '');
const runtime = createRuntime({
  source: { kind: 'directory', root },
  maxConcurrent: 200,
  command: ['bun', 'app.js'],
  ...(name && { survive: { name } }),
});
const gateway = createGateway({
  runtime,
  route: { by: 'subdomain', domain: 'localhost' },
  listen: { port },
});
await gateway.listening;
console.log('listening');
process.once('SIGTERM', () => runtime.dispose());
