import { createRuntime } from '@absolutejs/runtime';

const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
await runtime.dispose();
console.log('disposed');
