import {
  createRuntime,
  RuntimeExitedBeforeReadyError,
  type Runtime,
  type Tenant,
} from '@absolutejs/runtime';

const runtime: Runtime = createRuntime({
  source: { kind: 'directory', root: './tenants' },
  onTransition: (event) => void (event.type === 'ready' && event.durationMs.toFixed()),
});
const port = (tenant: Tenant): number => tenant.port;
const source = { kind: 'directory', root: '.' } as const;
// @ts-expect-error: there is no such option
const wrong = (): Runtime => createRuntime({ source, idleAfter: 1 });

console.log(port.length, wrong.length, RuntimeExitedBeforeReadyError.name, runtime.stats().running);
await runtime.dispose();
