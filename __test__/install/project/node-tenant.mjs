// Starts a tenant with the engine that runs this program, for machines without Bun.
import { createRuntime } from '@absolutejs/runtime';

const runtime = createRuntime({
  source: { kind: 'directory', root: './tenants' },
  command: [process.execPath, 'server.js'],
});
const { port } = await runtime.ensure('node');
console.log(await (await fetch(`http://127.0.0.1:${port}/`)).text());
await runtime.dispose();
