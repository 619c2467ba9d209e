// A tree is asked to end and has its time for that, also where the host has no privileges and the
// kernel is an old one, which tells a process less about itself (`npm run test:vm`).
import { expect, test } from 'bun:test';
import { createPool } from '../support/processes/index.ts';

/** Saves at SIGTERM what it has. */
const SERVER = `
process.on('SIGTERM', () => (console.log('saved'), process.exit()));
Bun.serve({ port: process.env.PORT, hostname: '127.0.0.1', fetch: () => new Response('ok') });`;

test('a server below bun run saves what it has', async () => {
  await using pool = createPool({ command: ['bun', 'run', 'start'], stopTimeoutMs: 60_000 });
  pool.tenants.add('app', {
    'server.ts': SERVER,
    'package.json': JSON.stringify({ scripts: { start: 'bun server.ts' } }),
  });
  await pool.runtime.ensure('app');
  await pool.runtime.kill('app');
  expect(pool.runtime.inspect('app')!.lastExit!.lines).toContain('saved');
  await pool.dispose();
});
