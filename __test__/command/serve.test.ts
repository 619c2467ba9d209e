// A whole host by one command, with real tenants.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { Command, directory, ENGINES, PATH, PROGRAM, run, start } from '../support/command/run.ts';
import { ServiceManager } from '../support/command/service-manager.ts';
import { get, serve, tenantsOf } from '../support/command/serving.ts';
import { Tenants } from '../support/processes/tenants.ts';
import { until } from '../support/processes/until.ts';

for (const engine of ENGINES) {
  test(`${engine}: it serves, shows what it serves, and SIGTERM ends all of it`, async () => {
    using place = directory();
    await using tenants = tenantsOf();
    const { host, port, control } = await serve(place, tenants.root, [], { engine });
    // Addresses to stdout, all else to stderr.
    await host.says(/hello/);
    expect(host.stdout).toBe(`http://broken.localhost:${port}/\nhttp://hello.localhost:${port}/\n`);
    expect(host.stderr).toContain('2 directories in');
    expect(host.stderr).toContain('512M of memory, 1 core, 200 processes; its own files');
    expect(statSync(place.socket).mode & 0o777).toBe(0o600);

    expect((await get(port, 'hello')).status).toBe(200);
    expect((await get(port, 'broken')).status).toBe(502);
    await host.says(/broken crashed \(exit code 3\)/, 'stderr');
    const ps = await run(['ps', ...control], { engine });
    expect(ps.stdout).toMatch(/^broken +(?:failed|backing off) .*\nhello +running/m);
    expect(ps.stdout).toContain('no such database');
    const logs = await run(['logs', 'broken', ...control], { engine });
    expect(logs.stdout).toContain('[broken] no such database\n');
    const [{ limits }] = JSON.parse((await run(['ps', 'hello', '--json', ...control])).stdout);
    expect(limits.memoryBytes.value).toBe(512 * 2 ** 20);
    const wrong = await run(['logs', '--grep', '(', ...control], { engine });
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('grep');
    const stopped = await run(['stop', 'hello', ...control], { engine });
    expect(stopped.stdout).toMatch(/^hello +stopped/m);
    const started = await run(['start', 'hello', ...control], { engine });
    expect(started.stdout).toMatch(/^hello +running/m);

    const { code } = await host.end('SIGTERM');
    expect(code).toBe(0);
    expect(host.stderr).toContain('SIGTERM: ends in order');
    expect(existsSync(place.socket)).toBeFalse();
  });
}

for (const engine of ENGINES) {
  test(`${engine}: a tenant with env of its own has what the others have, and that`, async () => {
    using place = directory();
    const server = `const { PORT, ...all } = process.env;
      Bun.serve({ port: PORT, fetch: () => Response.json(all) });`;
    await using tenants = new Tenants();
    for (const key of ['greeter', 'plain']) tenants.add(key, { 'server.ts': server });
    const tenant = `(key) => (key === 'greeter' ? { env: { GREETING: 'hi' } } : {})`;
    writeFileSync(join(place.path, 'runtime.config.mjs'), `export default { tenant: ${tenant} }`);
    // Rust takes these from a tenant within walls whose env is not given; of the given one `serve` does.
    const ofBun = ['BUN_INSTALL', 'BUN_TMPDIR', 'XDG_CACHE_HOME'];
    ofBun.push('BUN_RUNTIME_TRANSPILER_CACHE_PATH');
    const places = Object.fromEntries(ofBun.map((name) => [name, place.path]));
    const env = { A_SECRET: 'of the host', ...places };
    const { host, port } = await serve(place, tenants.root, [], { engine, env });
    const envOf = async (key: string) => {
      const all: any = await (await get(port, key)).json();
      expect(all).not.toHaveProperty('A_SECRET');
      // Each has places of its own.
      return JSON.parse(JSON.stringify(all).replaceAll(`${tenants.root}/${key}`, 'ITS'));
    };
    const { GREETING, ...rest } = await envOf('greeter');
    const { ...plain } = await envOf('plain');
    for (const all of [rest, plain]) delete all.TMPDIR;
    expect(GREETING).toBe('hi');
    expect(rest).toEqual(plain);
    await host.end('SIGTERM');
  });
}

test('^C ends it in order, with the code of ^C', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const { host, port } = await serve(place, tenants.root);
  await get(port, 'hello');
  expect((await host.end('SIGINT')).code).toBe(130);
});

test('an open request may end first; a second signal ends it at once', async () => {
  using place = directory();
  await using tenants = new Tenants().add('slow', {
    'server.ts': `Bun.serve({ port: process.env.PORT, fetch: async (request) => {
      if (request.url.endsWith('/never')) { console.log('asked'); await new Promise(() => {}); }
      return new Response('hello'); } });`,
  });
  tenants.add('idle');
  const { host, port, control } = await serve(place, tenants.root);
  const never = get(port, 'slow', '/never').catch((error) => error);
  const logs = start(['logs', '-f', ...control]);
  await logs.says(/asked/);
  host.process.kill('SIGTERM');
  await host.says(/SIGTERM: ends in order, 1 open request may end first/, 'stderr');
  // Meanwhile nothing is started.
  const refused = await run(['start', 'idle', '--json', ...control]);
  expect(JSON.parse(refused.stderr).error.code).toBe('ERR_RUNTIME_DRAINING');
  expect((await host.end('SIGTERM')).code).toBe(143);
  expect(host.stderr).toContain('SIGTERM: ended at once');
  for (const file of [place.socket, `${place.socket}.token`]) {
    expect(existsSync(file)).toBeFalse();
  }
  await never;
  await logs.end();
});

test('drain ends it, and waits for that', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const { host, port, control } = await serve(place, tenants.root);
  await get(port, 'hello');
  const drain = await run(['drain', ...control]);
  expect(drain.code).toBe(0);
  expect(drain.stdout).toMatch(/^draining \(pid \d+\): .*\nThe host has ended\.\n$/);
  expect((await host.ended).code).toBe(0);
});

test('a second host at the same socket is refused with the pid of the first, which goes on', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const { host, port } = await serve(place, tenants.root);
  await using others = tenantsOf();
  const second = await run(['serve', others.root, '--port', '0', '--control', place.socket]);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`process ${host.process.pid} listens there already`);
  const taken = await run([
    'serve',
    others.root,
    '--port',
    String(port),
    '--control',
    `${place.socket}2`,
  ]);
  expect(taken.code).toBe(1);
  expect(taken.stderr).toContain(String(port));
  expect(existsSync(`${place.socket}2`)).toBeFalse();
  expect((await get(port, 'hello')).status).toBe(200);
  await host.end('SIGTERM');
});

test('--json prints one object, with every address', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const args = ['serve', tenants.root, '--json', '--port', '0', '--control', place.socket];
  const host = start([...args, '--route', 'path', '--metrics', '127.0.0.1:0', '--name', 'apps']);
  await host.says(/\n/);
  const told = JSON.parse(host.stdout);
  expect(told).toMatchObject({ name: 'apps', pid: host.process.pid, root: tenants.root });
  const hello = told.tenants.find(({ key }: { key: string }) => key === 'hello').url;
  expect(await (await fetch(hello)).text()).toBe('hello');
  expect(await (await fetch(told.metrics)).text()).toContain('absolute_runtime_');
  await host.end('SIGTERM');
});

test('SIGHUP reads the config again, applies what it can, and says what it cannot', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const file = join(place.path, 'runtime.config.mjs');
  const config = (text: string) => writeFileSync(file, `export default { ${text} }`);
  config(`memory: '300M', max: 5`);
  const { host, port, control } = await serve(place, tenants.root);
  const memory = async () => {
    const { stdout } = await run(['restart', 'hello', '--json', ...control]);
    return JSON.parse(stdout).limits.memoryBytes.value / 2 ** 20;
  };
  await get(port, 'hello');
  expect(await memory()).toBe(300);
  config(`memory: '400M', max: 6, tenant: (key) => ({ idle: '1h' })`);
  host.process.kill('SIGHUP');
  await host.says(/from the next start on: memory \(300M → 400M\), tenant/, 'stderr');
  await host.says(/only with a new host: max \(5 → 6\)/, 'stderr');
  expect(await memory()).toBe(400);
  config(`memroy: '1G'`);
  host.process.kill('SIGHUP');
  await host.says(/nothing is changed: runtime\.config\.mjs: memroy is not a setting/, 'stderr');
  expect(await memory()).toBe(400);
  await host.end('SIGTERM');
});

test('TLS, whose files are read again on SIGHUP', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const put = (name: string) => {
    for (const [from, to] of [
      [name, 'cert'],
      [`${name}-key`, 'key'],
    ]) {
      copyFileSync(
        join(import.meta.dir, `../support/gateway/tls/${from}.pem`),
        join(place.path, `${to}.pem`),
      );
    }
  };
  const certificate = (port: number) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.once('error', reject);
    });
  put('first');
  const args = ['--tls-cert', 'cert.pem', '--tls-key', 'key.pem'];
  const { host, port } = await serve(place, tenants.root, args);
  expect(host.stdout).toContain('https://hello.localhost');
  const before = await certificate(port);
  put('renewed');
  host.process.kill('SIGHUP');
  await host.says(/from the next start on: certificates/, 'stderr');
  expect(await certificate(port)).not.toBe(before);
  await host.end('SIGTERM');
});

test('tenants that are to be kept up are started with the host', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  writeFileSync(
    join(place.path, 'runtime.config.mjs'),
    `export default { tenant: (key) => ({ warm: key === 'hello' }) }`,
  );
  const { host, control } = await serve(place, tenants.root);
  const events = start(['events', '-f', ...control]);
  await events.says(/hello ready/);
  await events.end();
  await host.end('SIGTERM');
});

test('a reader of its output that goes away does not end it', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const { host, port } = await serve(place, tenants.root);
  host.process.stdout?.destroy();
  host.process.stderr?.destroy();
  // Each crash is told on a stderr that nothing reads.
  expect((await get(port, 'broken')).status).toBe(502);
  expect((await get(port, 'hello')).status).toBe(200);
  host.process.kill('SIGTERM');
  await until('its end', () => host.process.exitCode === 0);
});

for (const engine of ENGINES) {
  test(`${engine}: a service manager hands its socket over, and is told what becomes of it`, async () => {
    using place = directory();
    await using tenants = tenantsOf();
    const notify = join(place.path, 'notify');
    using manager = new ServiceManager(notify);
    const args = ['serve', tenants.root, '--control', place.socket];
    const script = join(import.meta.dir, '../support/command/hand-over.mjs');
    const host = new Command(
      spawn('node', [script, engine, PROGRAM, ...args], {
        cwd: place.path,
        env: { ...process.env, PATH, NOTIFY_SOCKET: notify },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    const [, port] = await host.says(/^port: (\d+)$/m);
    await manager.hears(/^READY=1/);
    expect((await get(Number(port), 'hello')).status).toBe(200);
    const { stdout } = await run(['inspect', 'hello', '--json', '--control', place.socket]);
    expect(JSON.parse(stdout).state).toBe('running');
    host.process.kill('SIGTERM');
    await manager.hears(/^STOPPING=1/);
    expect((await host.ended).code).toBe(0);
  });
}
