// What prometheus.d.ts must accept, infer and reject. `tsc` checks this file; nothing runs it.
import { createRuntime, type Runtime, type RuntimeOptions } from '@absolutejs/runtime';
import {
  createRuntimeCollector,
  type ObservedRuntime,
  type PromClientRegistry,
  type RuntimeCollector,
  type RuntimeCollectorOptions,
} from '@absolutejs/runtime/prometheus';
import { AggregatorRegistry, register, Registry } from 'prom-client';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function assertType<_T extends true>(): void {}

const source = { kind: 'directory', root: 'tenants' } as const;

// Options: none is required, and all of them together are accepted.
const collector: RuntimeCollector = createRuntimeCollector();
const everyOption: Required<RuntimeCollectorOptions> = {
  prefix: 'paas_',
  labels: { pool: 'eu-1' },
  perTenant: { max: 100 },
  registers: [register, new Registry(), new AggregatorRegistry()],
};
createRuntimeCollector(everyOption);
// @ts-expect-error a cap, not a switch
createRuntimeCollector({ perTenant: true });
// @ts-expect-error without a cap
createRuntimeCollector({ perTenant: {} });
// @ts-expect-error label values are strings
createRuntimeCollector({ labels: { pool: 1 } });
// @ts-expect-error one registry, not several
createRuntimeCollector({ registers: register });
// @ts-expect-error no registry
createRuntimeCollector({ registers: [{}] });
// @ts-expect-error an unknown option
createRuntimeCollector({ perTenants: { max: 1 } });

// A registry need not be prom-client's.
const ours: PromClientRegistry = { registerMetric: () => {}, getSingleMetric: () => undefined };
createRuntimeCollector({ registers: [ours] });

// Runtimes: attach returns what create made, and takes a runtime's options.
const runtime = collector.attach(
  createRuntime,
  { source, onTransition: () => {} },
  { pool: 'apps' },
);
assertType<Equal<typeof runtime, Runtime>>();
const observed: ObservedRuntime = runtime;
collector.detach(observed);
const extended = collector.attach(
  (options: RuntimeOptions) => ({ ...createRuntime(options), name: 'apps' }),
  { source },
);
assertType<Equal<typeof extended.name, string>>();
// @ts-expect-error source is required
collector.attach(createRuntime, {});
// @ts-expect-error an unknown option
collector.attach(createRuntime, { source, idleTimeoutMs: 1 });
// @ts-expect-error what is created is no runtime
collector.attach(() => ({ ensure: () => {} }), { source });

// What comes out can be served by Bun, by Node, and by whatever takes a Response.
const { expose, fetch } = collector;
assertType<Equal<ReturnType<typeof expose>, { contentType: string; body: string }>>();
Bun.serve({ routes: { '/metrics': fetch }, fetch });
const accept: string | null = new Request('http://host').headers.get('accept');
expose(accept).body.length;
expose(undefined);
