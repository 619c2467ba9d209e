// A directory without a readable start script would make `bun run start` run that of a directory
// above, the host's: such a start is refused.
import { expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { mkdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { createPool, engineNames, startHost, Tenants } from '../support/processes/index.ts';

/** Unusable contents of a tenant's package.json, and the reason of the refusal. */
const MANIFESTS: Record<string, [text: string | undefined, why: RegExp]> = {
  absent: [undefined, /its directory ".*\/absent" has no package\.json; give it \{ "scripts"/],
  broken: [
    '{ "scripts": ',
    /broken\/package\.json is not JSON that Bun reads: .* line 1 column 14; give it/,
  ],
  list: ['[]', /list\/package\.json is not JSON that Bun reads: it is no object/],
  other: [
    '{ "scripts": { "dev": "x" } }',
    /other\/package\.json has no script "start"; .*option `command`/,
  ],
  empty: ['{ "scripts": { "start": "" } }', /empty\/package\.json has no script "start"/],
};

/** A tenant root below a project whose own start script must never run. */
function projectOf(tenants: Tenants) {
  const [project, mark] = [join(tenants.root, 'project'), join(tenants.root, 'host-was-started')];
  tenants.write('project/package.json', JSON.stringify({ scripts: { start: `echo x >>${mark}` } }));
  mkdirSync(join(project, 'tenants'));
  return { root: join(project, 'tenants'), wasStarted: () => Bun.file(mark).exists() };
}

test('without a start script a start fails at once, names the file, and counts as a failure', async () => {
  await using tenants = new Tenants();
  const { root, wasStarted } = projectOf(tenants);
  for (const [key, [text]] of Object.entries(MANIFESTS)) {
    if (text === undefined) mkdirSync(join(root, key));
    else tenants.write(`project/tenants/${key}/package.json`, text);
  }
  mkdirSync(join(root, 'directory', 'package.json'), { recursive: true });
  mkdirSync(join(root, 'pipe'));
  execFileSync('mkfifo', [join(root, 'pipe', 'package.json')]);
  tenants.write('project/tenants/huge/package.json', '');
  truncateSync(join(root, 'huge', 'package.json'), (64 << 20) + 1);
  tenants.write('project/tenants/shop/package.json', '{ "scripts": { "start": "sleep 1000" } }');
  mkdirSync(join(root, 'shop', 'node_modules'));
  await using pool = createPool({ source: { kind: 'directory', root } });
  const refusals: [string, RegExp][] = [
    ...Object.entries(MANIFESTS).map(([key, [, why]]) => [key, why] as [string, RegExp]),
    ['directory', /directory\/package\.json is not a file/],
    ['pipe', /pipe\/package\.json is not a file/],
    ['huge', /huge\/package\.json is larger than 64 MiB/],
    ['shop/node_modules', /node_modules" has no package\.json/],
  ];
  for (const [key, why] of refusals) {
    const error = await pool.runtime.ensure(key).catch((error) => error);
    expect([key, error.code, error.message]).toEqual([
      key,
      'ERR_RUNTIME_SPAWN',
      expect.stringMatching(why),
    ]);
    expect(pool.runtime.inspect(key)).toMatchObject({ state: 'backing-off', attempt: 1 });
  }
  const missing = await pool.runtime.ensure('missing').catch((error) => error);
  expect(missing.message).toMatch(/its directory ".*missing" does not exist/);
  expect(pool.events.of('spawn')).toEqual([]);
  expect(await wasStarted()).toBe(false);
});

test('package.json may have what Bun accepts beyond JSON, and another command needs no start script', async () => {
  const lenient = `\u{feff}// a tenant\n{ "scripts": { /* its own */ "start": 'bun ../server.ts', }, "port": 0x1f },\0`;
  await using pool = createPool();
  pool.tenants.add('.');
  pool.tenants.write('lenient/package.json', lenient);
  await pool.runtime.ensure('lenient');
  await pool.dispose();

  await using other = createPool({ command: ['bun', 'server.ts'] });
  other.tenants.add('bare');
  execFileSync('rm', [join(other.tenants.root, 'bare', 'package.json')]);
  await other.runtime.ensure('bare');
  await other.dispose();
});

for (const engine of engineNames) {
  test(`${engine}: a start without a start script is refused`, async () => {
    await using tenants = new Tenants();
    const { root, wasStarted } = projectOf(tenants);
    mkdirSync(join(root, 'absent'));
    await using host = startHost(engine, 'alive.mjs', [root, 'absent', 'pending ensure']);
    await host.end();
    expect(host.errors).toMatch(/absent" has no package\.json/);
    expect(await wasStarted()).toBe(false);
  });
}
