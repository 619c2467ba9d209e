import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runNode, tenantsOnDisk } from '../support/surface/node.mjs';

const IMPORT = `import { createRuntime } from '@absolutejs/runtime';`;
const IN_MEMORY = `
  const spawn = async () => {
    let exit;
    const exited = new Promise((resolve) => (exit = resolve));
    return { pid: 2 ** 30, exited, kill: () => exit(0) };
  };
  const options = { source: { kind: 'directory', root: 'tenants' }, spawn, readiness: async () => true };
`;

/**
 * Programs that must reach their last line and then end by themselves.
 * @type {Record<string, string>}
 */
const hosts = {
  'a runtime that was never used': `${IMPORT} ${IN_MEMORY} createRuntime(options);`,
  'an idle runtime': `${IMPORT} ${IN_MEMORY} await createRuntime(options).ensure('a');`,
  'an idle runtime with a sweep every millisecond': `${IMPORT} ${IN_MEMORY}
    await createRuntime({ ...options, sweepIntervalMs: 1, observeIntervalMs: 1, onMetrics: () => {} }).ensure('a');`,
  'a disposed runtime': `${IMPORT} ${IN_MEMORY}
    const runtime = createRuntime(options);
    await runtime.ensure('a');
    await runtime.dispose();
    await runtime.ensure('a').catch(() => {});`,
};

for (const [what, program] of Object.entries(hosts)) {
  test(`${what} does not keep Node alive`, async () => {
    assert.deepEqual(await runNode(`${program}; console.log('the end');`), {
      code: 0,
      output: 'the end\n',
    });
  });
}

test('a pending call keeps Node alive', async () => {
  const program = `${IMPORT} ${IN_MEMORY}
    const slow = async () => new Promise((resolve) => setTimeout(resolve, 100, true).unref());
    await createRuntime({ ...options, readiness: slow }).ensure('a');
    console.log('ready');`;
  assert.deepEqual(await runNode(program), { code: 0, output: 'ready\n' });
});

test('a real tenant does not keep Node alive, and ends with it', async (context) => {
  const root = tenantsOnDisk(context, {
    app: {
      'package.json': JSON.stringify({ scripts: { start: 'bun server.ts' } }),
      'server.ts': `Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, fetch: () => new Response() });`,
    },
  });
  const program = `${IMPORT}
    const source = { kind: 'directory', root: ${JSON.stringify(root)} };
    const { port } = await createRuntime({ source }).ensure('app');
    console.log(port);`;
  const { code, output } = await runNode(program);
  assert.equal(code, 0, output);
  assert.match(output, /^\d+\n$/);
  // Everything is gone within a second; a busy machine may need longer.
  const until = Date.now() + 10_000;
  const answers = () =>
    fetch(`http://127.0.0.1:${output.trim()}/`).then(
      () => true,
      () => false,
    );
  while (await answers()) assert.ok(Date.now() < until, 'the tenant outlived its host');
});
