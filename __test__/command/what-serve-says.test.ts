// What a host says of itself at its start and while it serves, to those who read its journal.
import { expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { directory, run } from '../support/command/run.ts';
import { get, serve, tenantsOf } from '../support/command/serving.ts';

test('without bun it says so at its start, and which starts fail', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const node = dirname(execFileSync('which', ['node'], { encoding: 'utf8' }));
  // A directory with node alone.
  symlinkSync(join(node, 'node'), join(place.path, 'node'));
  const env = { PATH: place.path };
  const { host, port } = await serve(place, tenants.root, [], { engine: 'node', env });
  expect(host.stderr).toContain('there is no bun on PATH');
  expect((await get(port, 'hello')).status).toBe(502);
  await host.says(
    /hello.*program "bun" was not found.*: absolutejs-runtime inspect hello/,
    'stderr',
  );
  await host.end('SIGTERM');
});

test('a replacement that fails stands in the journal, in events and in inspect', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const { host, port, control } = await serve(place, tenants.root);
  expect((await get(port, 'hello')).status).toBe(200);
  tenants.write('hello/server.ts', 'console.error("no such table"); process.exit(4)');
  expect((await run(['replace', 'hello', ...control])).code).toBe(1);
  const said =
    /hello could not be replaced: exited with code 4 before it was ready; process \d+ goes on/;
  await host.says(
    new RegExp(`${said.source}, "no such table": absolutejs-runtime inspect hello`),
    'stderr',
  );
  // The tenant that serves has not crashed.
  expect(host.stderr).not.toContain('hello crashed');
  const events = await run(['events', 'hello', ...control]);
  expect(events.stdout).toMatch(new RegExp(`${said.source}\n(?:    .*\n)*    no such table`));
  const ps = await run(['ps', ...control]);
  expect(ps.stdout).toMatch(/✘ hello: could not be replaced: exited with code 4/);
  const { stdout } = await run(['inspect', 'hello', ...control]);
  expect(stdout).toMatch(/→ It ended before it listened.* Process\s+\d+\s+serves\s+as\s+before/s);
  await host.end('SIGTERM');
});

test('a crash stands in the journal with the line of its error, and so it does in ps', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  tenants.write('hello/server.ts', "throw new Error('DATABASE_URL is missing')");
  const { host, port, control } = await serve(place, tenants.root);
  expect((await get(port, 'hello')).status).toBe(502);
  await host.says(
    /hello crashed \(exit code 1\), "error: DATABASE_URL is missing": absolutejs-runtime inspect/,
    'stderr',
  );
  const { stdout } = await run(['ps', ...control]);
  expect(stdout).toMatch(/^✘ hello: exited with code 1 .*\n(?: {4}.*\n)* {4}error: DATABASE_URL/m);
  expect(stdout).not.toMatch(/^ +(?:Bun v|error: script|$)/m);
  await host.end('SIGTERM');
});

test('files of logs that cannot be written are told', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const logDir = join(place.path, 'log');
  const { host, port, control } = await serve(place, tenants.root, ['--log-dir', logDir]);
  rmSync(logDir, { recursive: true, force: true });
  writeFileSync(logDir, '');
  await get(port, 'broken');
  await host.says(/lines are not written to files: /, 'stderr');
  const ps = await run(['ps', ...control]);
  expect(ps.stderr).toMatch(/^✘ the host cannot write its log files in .*, \d+ lines? lost: see /);
  await host.end('SIGTERM');
});

test('a directory for logs that cannot be is told before anything starts', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const file = join(place.path, 'file');
  writeFileSync(file, '');
  for (const [logDir, why] of [
    [file, 'ENOTDIR|EEXIST'],
    [join(file, 'logs'), 'ENOTDIR'],
    ['/proc/logs', 'ENOENT'],
    ['/proc', 'ENOENT|EACCES'],
  ] as const) {
    const args = ['serve', tenants.root, '--port', '0', '--control', place.socket];
    const { code, stdout, stderr } = await run([...args, '--log-dir', logDir]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      new RegExp(`^--log-dir: no files can be written in ${logDir}: (?:${why})[^\n]*\n$`),
    );
  }
});

test('where lines are kept stands in the summary', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const logDir = join(place.path, 'deep', 'log');
  const { host } = await serve(place, tenants.root, ['--log-dir', logDir]);
  expect(host.stderr).toMatch(/logs +\S*deep\/log \(what tenants print, 1 GiB in all\)/);
  await host.end('SIGTERM');
});

test('a directory whose name no host can have is told', async () => {
  using place = directory();
  await using tenants = tenantsOf().add('MyApp').add('my app').add('bell\x07').add('node_modules');
  const { host } = await serve(place, tenants.root);
  await host.says(/unreachable +MyApp, my app: no name of a host/, 'stderr');
  await host.says(/left out +bell␇: no name of a tenant/, 'stderr');
  await host.says(/hello/);
  expect(host.stdout).not.toMatch(/MyApp|my|node_modules/);
  await host.end('SIGTERM');
});

test('the dashboard is there when it is asked for, and its link is printed', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const { host } = await serve(place, tenants.root, ['--dashboard', '127.0.0.1:0']);
  const [link = ''] = await host.says(/http:\/\/127\.0\.0\.1:\d+\/\?token=\S+/);
  const page = await fetch(link);
  expect(page.status).toBe(200);
  const restart = new URL('/tenants/hello/restart', link);
  expect((await fetch(restart, { method: 'POST' })).status).toBe(403);
  const authorization = `Bearer ${new URL(link).searchParams.get('token')}`;
  const acted = await fetch(restart, { method: 'POST', headers: { authorization } });
  expect(await acted.json()).toMatchObject({ key: 'hello', state: 'running' });
  expect((await host.end('SIGTERM')).code).toBe(0);
});

test('a dashboard at all addresses has a link that works, and says who can read', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const { host } = await serve(place, tenants.root, ['--dashboard', '0.0.0.0:0']);
  const [, port = '', path = ''] = await host.says(/http:\/\/localhost:(\d+)(\/\?token=\S+)/);
  const ask = (name: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers: { host: `${name}:${port}` } });
  expect((await ask('localhost')).status).toBe(200);
  expect((await ask(hostname())).status).toBe(200);
  await host.says(/everybody who reaches 0\.0\.0\.0 can read all output, in clear/, 'stderr');
  await host.end('SIGTERM');
});

test('without walls it does not speak of walls', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const { host } = await serve(place, tenants.root, ['--isolation', 'none']);
  await host.says(/each .* no walls/, 'stderr');
  expect(host.stderr).not.toContain('within their walls');
  await host.end('SIGTERM');
});
