// Two runtimes on one root start the same tenant twice. The second one emits a warning with the
// pid of the first; nothing is refused.
import { createRuntime } from '@absolutejs/runtime';
import { afterEach, expect, test } from 'bun:test';
import { readFileSync, statSync } from 'node:fs';
import { engineNames, startHost, Tenants, until, within } from '../support/processes/index.ts';

type Warning = Error & { code?: string };
const warnings: Warning[] = [];
const listen = (warning: Warning) =>
  void (warning.code === 'ABS_RUNTIME_SHARED_ROOT' && warnings.push(warning));
process.on('warning', listen);
afterEach(() => void (warnings.length = 0));

const createPool = ({ source }: Tenants) =>
  createRuntime({ source, command: ['sleep', '1000'], readiness: async () => true });

/** Resolves once the root is claimed, which happens in the background of the first start. */
function untilClaimed({ root }: Tenants): Promise<true> {
  const { dev, ino } = statSync(root);
  return until(
    'the root is claimed',
    () => readFileSync('/proc/net/unix', 'utf8').includes(`tenants/${dev}:${ino}\n`) || undefined,
  );
}

test('in one process: the second runtime warns, and one that comes after the first is disposed does not', async () => {
  await using tenants = new Tenants().add('app');
  const [first, second] = [createPool(tenants), createPool(tenants)];
  await first.ensure('app');
  await untilClaimed(tenants);
  expect(warnings).toEqual([]);
  await second.ensure('app');
  const warning = await until('a warning', () => warnings[0]);
  expect(warning.message).toContain(
    `the tenants in ${tenants.root} are started by another runtime of this process`,
  );
  await within('dispose', Promise.all([first.dispose(), second.dispose()]));

  const third = createPool(tenants);
  await third.ensure('app');
  await third.kill('app');
  await third.ensure('app');
  await within('dispose', third.dispose());
  expect(warnings).toHaveLength(1);
});

for (const engine of engineNames) {
  test(`${engine}: of two processes the second warns with the pid of the first`, async () => {
    await using tenants = new Tenants().add('app').add('other');
    const first = createPool(tenants);
    await first.ensure('app');
    await untilClaimed(tenants);
    await using host = startHost(engine, 'alive.mjs', [tenants.root, 'other', 'kept alive']);
    await until('a warning', () => host.errors.includes('ABS_RUNTIME_SHARED_ROOT'));
    expect(host.errors).toContain(`are started by another runtime, of process ${process.pid}.`);
    await host.said('ready');
    host.kill('SIGKILL');
    await host.exited;
    await within('dispose', first.dispose());
    expect(warnings).toEqual([]);
  });

  test(`${engine}: a killed process no longer claims the root`, async () => {
    await using tenants = new Tenants().add('app').add('other');
    await using host = startHost(engine, 'alive.mjs', [tenants.root, 'other', 'kept alive']);
    await host.said('ready');
    await untilClaimed(tenants);
    const second = createPool(tenants);
    await second.ensure('app');
    const warning = await until('a warning', () => warnings[0]);
    expect(warning.message).toContain(`of process ${host.pid}.`);
    await within('dispose', second.dispose());
    host.kill('SIGKILL');
    await host.exited;
    const third = createPool(tenants);
    await third.ensure('app');
    await within('dispose', third.dispose());
    expect(warnings).toHaveLength(1);
  });
}
