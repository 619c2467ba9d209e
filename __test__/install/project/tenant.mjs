import { createRuntime } from '@absolutejs/runtime';

const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
const { port } = await runtime.ensure('hello');
console.log(await (await fetch(`http://127.0.0.1:${port}/`)).text());
await runtime.dispose();
