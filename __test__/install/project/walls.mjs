// A tenant within walls, as far as this machine can put them up, in the engine that runs this.
import { createRuntime } from '@absolutejs/runtime';
import { dirname } from 'node:path';

const runtime = createRuntime({
  source: { kind: 'directory', root: './tenants' },
  command: [process.execPath, 'server.js'],
  isolation: { read: [dirname(process.execPath)], enforce: 'best-effort' },
});
const { port } = await runtime.ensure('node');
console.log(await (await fetch(`http://127.0.0.1:${port}/`)).text());
await runtime.dispose();
