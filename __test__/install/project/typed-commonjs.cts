import runtimePackage = require('@absolutejs/runtime');

const runtime: runtimePackage.Runtime = runtimePackage.createRuntime({
  source: { kind: 'directory', root: './tenants' },
});
void runtime.dispose();
