import runtimePackage = require('@absolutejs/runtime');

const runtime: runtimePackage.Runtime = runtimePackage.createRuntime({
  source: { kind: 'directory', root: './tenants' },
});
runtime.ensure('hello').catch((error: unknown) => {
  if (!runtimePackage.isRuntimeError(error, 'ERR_RUNTIME_BACKOFF')) throw error;
  const code: 'ERR_RUNTIME_BACKOFF' = error.code;
  return code;
});
void runtime.dispose();
