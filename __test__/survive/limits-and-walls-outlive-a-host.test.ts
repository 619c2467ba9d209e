// Limits, walls, users, control groups and temporary directories are after a host's end as they were,
// and go with their tenant.
import { expect, test } from 'bun:test';
import { chmodSync, existsSync } from 'node:fs';
import { until } from '../support/processes/until.ts';
import { setUp, tell } from '../support/survive/world.ts';

const WALLED = `
import { readFileSync, writeFileSync } from 'node:fs';
const attempt = (act) => { try { return String(act()); } catch (error) { return error.code; } };
const acts = {
  '/tmp': () => process.env.TMPDIR,
  '/passwords': () => attempt(() => readFileSync('/etc/shadow', 'utf8').length),
  '/write': () => attempt(() => writeFileSync(process.env.TMPDIR + '/x', 'x') ?? 'written'),
  '/uid': () => String(process.getuid()),
};
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  fetch: ({ url }) => new Response(acts[new URL(url).pathname]?.() ?? 'hello'),
});
`;

test('list says the same, and they still hold', async () => {
  await using world = setUp(['a'], WALLED);
  // Other users must get to their directories.
  chmodSync(world.tenants.root, 0o755);
  const isRoot = process.getuid?.() === 0;
  const options = {
    limits: { memoryBytes: 256 << 20, openFiles: 512, enforce: 'best-effort' as const },
    isolation: {
      enforce: 'best-effort' as const,
      ...(isRoot && { user: { first: 48_000, count: 50 } }),
    },
  };
  const first = await world.startAndRecover({ options });
  const a = await first.ensure('a');
  const [before] = await first.list();
  const paths = ['/tmp', '/passwords', '/write', '/uid'];
  const answers = () => Promise.all(paths.map((path) => tell(a, path)));
  const said = await answers();
  await first.murder();
  expect(await answers()).toEqual(said);

  const second = await world.startAndRecover({ options });
  const [after] = await second.list();
  expect(after!.limits).toEqual(before!.limits);
  expect(after!.isolation).toEqual(before!.isolation);
  expect(await answers()).toEqual(said);
  // A tenant that is started now gets another user.
  world.tenants.add('b', { 'server.ts': WALLED });
  const b = await second.ensure('b');
  if (isRoot) expect(await tell(b, '/uid')).not.toBe(said[3]);
  await second.ask('dispose');
  await world.untilNothingIsLeft();
  await until('its temporary directory is gone', () => !existsSync(said[0]!));
});

test('memory that runs out afterwards is told by the next host', async () => {
  const hungry = `
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  fetch({ url }) {
    if (new URL(url).pathname === '/eat') {
      const all = [];
      setTimeout(() => { for (;;) all.push(Buffer.alloc(1 << 20, 1)); }, 5);
    }
    return new Response('ok');
  },
});`;
  await using world = setUp(['a'], hungry);
  const options = { limits: { memoryBytes: 128 << 20, enforce: 'best-effort' as const } };
  const first = await world.startAndRecover({ options });
  const a = await first.ensure('a');
  const [status] = await first.list();
  await first.murder();
  if (status!.limits.memoryBytes?.by === 'none') return;
  const second = await world.startAndRecover({ options });
  await tell(a, '/eat');
  expect(await second.event('exit', 'a')).toMatchObject({ reason: 'crashed', limit: 'memory' });
});
