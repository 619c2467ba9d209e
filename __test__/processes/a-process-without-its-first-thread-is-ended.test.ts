// A process whose first thread has ended while others run looks like a zombie in /proc, but must
// be ended.
import { expect, test } from 'bun:test';
import {
  assertGone,
  createPool,
  descendantsOf,
  type Pool,
  processOf,
  until,
  within,
} from '../support/processes/index.ts';

/** Ignores SIGTERM; a second thread keeps it alive when the first one has ended. */
const HEADLESS = `
import { dlopen } from 'bun:ffi';
const EXIT_OF_A_THREAD = process.arch === 'arm64' ? 93 : 60;
const { syscall } = dlopen('libc.so.6', { syscall: { args: ['i64', 'i64'], returns: 'i64' } }).symbols;
process.on('SIGTERM', () => {});
const worker = new Worker(URL.createObjectURL(new Blob(['setInterval(() => {}, 1000); postMessage("up")'])));
worker.onmessage = () => syscall(EXIT_OF_A_THREAD, 0);
`;

const headlessBelow = (pid: number) =>
  until('its first thread has ended', () => {
    const keeper = processOf(pid)?.parent;
    if (keeper === undefined) throw new Error('the tenant has ended');
    const tree = descendantsOf(keeper);
    return tree.some(({ state, name }) => state === 'Z' && name !== 'sh') && tree;
  });

const endings: Record<string, (pool: Pool, pid: number) => Promise<unknown>> = {
  kill: ({ runtime }) => runtime.kill('app'),
  restart: ({ runtime }) => runtime.restart('app'),
  dispose: ({ runtime }) => runtime.dispose(),
  crash({ events }, pid) {
    process.kill(pid, 'SIGKILL');
    return events.exit('app');
  },
};

for (const [how, end] of Object.entries(endings)) {
  test(`a helper in a session of its own ends with its tenant: ${how}`, async () => {
    await using pool = createPool({ stopTimeoutMs: 300 });
    pool.tenants.add('app', {
      start: 'setsid bun headless.ts & bun server.ts',
      'headless.ts': HEADLESS,
    });
    const { pid } = await pool.runtime.ensure('app');
    const tree = await headlessBelow(pid);
    await within(how, end(pool, pid));
    assertGone(how, tree);
    await pool.dispose();
  });
}

test('a tenant without its first thread is ended', async () => {
  await using pool = createPool({
    stopTimeoutMs: 300,
    command: ['bun', 'headless.ts'],
    readiness: async () => true,
  });
  pool.tenants.add('app', { 'headless.ts': HEADLESS });
  const { pid } = await pool.runtime.ensure('app');
  const tree = await headlessBelow(pid);
  expect(pool.runtime.stats().running).toBe(1);
  await within('kill', pool.runtime.kill('app'));
  assertGone('kill', tree);
  await pool.dispose();
});
