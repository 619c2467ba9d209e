const { createRuntime, RuntimeExitedBeforeReadyError } = require('@absolutejs/runtime');

const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
console.log(RuntimeExitedBeforeReadyError.name, runtime.stats().total);
runtime.dispose();
