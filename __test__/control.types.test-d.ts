/** What the types of the control must accept, and refuse. `tsc` checks this file; nothing runs it. */
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';
import {
  createControl,
  type Control,
  type ControlHost,
  type ControlOptions,
  type ControlTenant,
  type ControlTenantState,
} from '@absolutejs/runtime/control';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function assertType<_T extends true>(): void;

const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
const gateway = createGateway({ runtime, route: { by: 'path' } });

const control = createControl({ runtime });
assertType<Equal<typeof control, Control>>();
createControl({
  runtime,
  gateway: [gateway],
  path: '/run/host.sock',
  name: 'a host',
  logs: { linesPerTenant: 10, bytesPerTenant: 4_096, directory: './logs', maxBytes: 1e9 },
  dashboard: { port: 0, hostname: '::1', token: 'x', names: ['host.example'] },
  optionName: (option, key) => (key === null ? option : `${option} of ${key}`),
});
// @ts-expect-error: a runtime is needed
createControl({});
// @ts-expect-error: it is called path
createControl({ runtime, socket: '/run/host.sock' });
// @ts-expect-error: a port is needed
createControl({ runtime, dashboard: {} });

assertType<
  Equal<
    keyof ControlOptions,
    'runtime' | 'gateway' | 'path' | 'name' | 'logs' | 'dashboard' | 'optionName'
  >
>();
assertType<Equal<Awaited<Control['listening']>['dashboardUrl'], string | undefined>>();
assertType<Equal<ControlTenant['state'], ControlTenantState>>();
assertType<Equal<ControlHost['runtime']['draining'], boolean>>();
assertType<Equal<ControlHost['runtime']['asleep'], number>>();
assertType<Equal<ControlTenant['depth'], 'frozen' | 'paged-out' | null>>();

async function use() {
  await using own = createControl({ runtime });
  const { brokenOff } = await own.drained;
  assertType<Equal<typeof brokenOff, number>>();
}
void use;
