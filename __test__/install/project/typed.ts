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
// @ts-expect-error: there is no such option
const wrong = (): Runtime =>
  createRuntime({ source: { kind: 'directory', root: '.' }, idleAfter: 1 });

console.log(port.length, wrong.length, RuntimeExitedBeforeReadyError.name, runtime.stats().running);
await runtime.dispose();
