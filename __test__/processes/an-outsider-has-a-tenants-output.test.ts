// A tenant may give its output to somebody outside its tree, who can write to it for ever.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPool, until, within } from '../support/processes/index.ts';

test('a tenant ends although somebody writes to its output faster than it is taken', async () => {
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
    await within('nobody reads it any more', ended);
    await pool.dispose();
  } finally {
    outsider.kill('SIGKILL');
  }
});
