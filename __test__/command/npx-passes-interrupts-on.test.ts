// ^C in a terminal reaches a program that npx started twice: from the terminal, and from npx.
import { expect, test } from 'bun:test';
import { directory, start } from '../support/command/run.ts';
import { Tenants } from '../support/processes/tenants.ts';

test('a ^C that comes twice ends the host in order, as one does', async () => {
  using place = directory();
  await using tenants = new Tenants().add('slow', {
    'server.ts': `Bun.serve({ port: process.env.PORT, fetch: async () => {
      console.log('asked'); await Bun.sleep(500); return new Response('whole'); } });`,
  });
  const host = start(['serve', tenants.root, '--port', '0', '--control', place.socket]);
  const [, port] = await host.says(/:(\d+)\//);
  const answer = fetch(`http://127.0.0.1:${port}/`, { headers: { host: 'slow.localhost' } });
  const logs = start(['logs', '-f', '--control', place.socket]);
  await logs.says(/asked/);
  host.process.kill('SIGINT');
  await host.says(/SIGINT: ends in order, 1 open request may end first/, 'stderr');
  host.process.kill('SIGINT');
  expect(await (await answer).text()).toBe('whole');
  expect((await host.ended).code).toBe(130);
  await logs.end();
});
