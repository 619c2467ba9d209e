import * as everything from '@absolutejs/runtime';

const { createRuntime } = everything;
const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
console.log(Object.keys(everything).sort().join(), runtime.stats().total);
await runtime.dispose();
