// A process outside a tenant's tree may hold its output, and write to it forever.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPool, until, within } from '../support/processes/index.ts';

test('a tenant ends although an outside process writes to its output faster than it is read', async () => {
  let lines = 0;
  await using pool = createPool({
    onLog({ line }) {
      if (!line.startsWith('noise')) return;
      lines++;
      for (const begin = performance.now(); performance.now() - begin < 1;);
    },
  });
  pool.tenants.add('app');
  const { pid } = await pool.runtime.ensure('app');
  const outsider = spawn('sh', ['-c', `exec yes noise${'-'.repeat(1_000)} >/proc/${pid}/fd/2`]);
  const ended = once(outsider, 'exit');
  try {
    await until('it writes', () => lines > 100);
    await within('kill', pool.runtime.kill('app'));
    expect(pool.events.of('exit', 'app')).toHaveLength(1);
    await within('the output is no longer read', ended);
    await pool.dispose();
  } finally {
    outsider.kill('SIGKILL');
  }
});
