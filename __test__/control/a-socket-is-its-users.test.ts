import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { createControl } from '@absolutejs/runtime/control';
import { askAt, openDesk } from '../support/control/desk.ts';
import { Tenants } from '../support/processes/tenants.ts';
import { until, within } from '../support/processes/until.ts';

const rejectionOf = (promise: Promise<unknown>): Promise<any> =>
  within(
    'the refusal',
    promise.then(
      () => expect.unreachable(),
      (error) => error,
    ),
  );

/** A directory that is gone after the test. */
function place(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'abs-socket-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test('only its user can connect, whatever the umask is, and its directory has nothing else', async () => {
  const before = process.umask(0);
  try {
    await using desk = await openDesk();
    expect(lstatSync(desk.path).mode & 0o777).toBe(0o600);
    expect(lstatSync(`${desk.path}.token`).mode & 0o777).toBe(0o600);
    expect(readdirSync(desk.directory).sort()).toEqual(['control.sock', 'control.sock.token']);
  } finally {
    process.umask(before);
  }
});

test('without the token beside the socket nothing is told, and nothing done', async () => {
  await using desk = await openDesk();
  const paths = ['/host', '/tenants', '/tenants/hello/logs', '/events', '/nothing'];
  for (const wrong of ['', 'Bearer', `Bearer ${'x'.repeat(43)}`]) {
    const headers = { authorization: wrong };
    const asked = paths.map((path) => desk.ask(path, 'GET', headers));
    asked.push(
      desk.ask('/tenants/hello/start', 'POST', headers),
      desk.ask('/drain', 'POST', headers),
    );
    for (const { status, body } of await Promise.all(asked)) {
      expect([status, body.error.code]).toEqual([401, 'UNAUTHORIZED']);
    }
  }
  expect(await desk.tenant('hello')).toMatchObject({ state: 'stopped', starts: 0 });
  await desk.control.close();
  expect(readdirSync(desk.directory)).toEqual([]);
});

test('a second host at the same path is refused, and told who listens', async () => {
  await using desk = await openDesk();
  const control = createControl({ runtime: desk.house.runtime, path: desk.path });
  const error = await rejectionOf(control.listening);
  expect(error).toMatchObject({
    code: 'ERR_RUNTIME_LISTEN',
    errno: 'EADDRINUSE',
    pid: process.pid,
  });
  expect(error.message).toContain(`process ${process.pid} listens there already`);
  await control.close();
  expect((await desk.ask('/host')).status).toBe(200);
});

test('what a host that is gone has left makes room', async () => {
  await using desk = await openDesk();
  using other = place();
  const path = join(other.path, 's');
  // A host that is killed leaves its socket.
  const script = `const s = Bun.listen({ unix: ${JSON.stringify(path)}, socket: { data() {} } }); process.kill(process.pid, 'SIGKILL')`;
  await Bun.spawn([process.execPath, '-e', script]).exited;
  expect(existsSync(path)).toBe(true);
  await using control = createControl({ runtime: desk.house.runtime, path });
  await within('listening', control.listening);
  expect((await askAt(path, '/host')).body.pid).toBe(process.pid);
});

/** Runs a host in Node that is ended or stopped by `signal` while it opens its control. */
async function openingHost(path: string, signal: NodeJS.Signals) {
  const script = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const rename = fs.promises.rename;
    fs.promises.rename = async (...places) => {
      process.kill(process.pid, '${signal}');
      await rename(...places);
    };
    syncBuiltinESMExports();
    const { createRuntime } = await import('@absolutejs/runtime');
    const { createControl } = await import('@absolutejs/runtime/control');
    const runtime = createRuntime({ source: { kind: 'directory', root: '/tmp' } });
    const control = createControl({ runtime, path: ${JSON.stringify(path)} });
    await control.listening;
    console.log('listens');
    setInterval(() => {}, 1e6);`;
  const args = ['node', '--input-type=module', '-e', script];
  return Bun.spawn(args, { cwd: join(import.meta.dir, '..', '..'), stdout: 'pipe' });
}

test('what a host that was killed while it opened has left is removed by the next one', async () => {
  await using desk = await openDesk();
  using other = place();
  const path = join(other.path, 's');
  const gone = await openingHost(path, 'SIGKILL');
  await within('the end of that host', gone.exited);
  expect(readdirSync(other.path)).toEqual([expect.stringMatching(/^\.rt-/)]);
  mkdirSync(join(other.path, '.rt-mine'));
  await using control = createControl({ runtime: desk.house.runtime, path });
  await within('listening', control.listening);
  expect(readdirSync(other.path).sort()).toEqual(['.rt-mine', 's', 's.token']);
});

test('of a host that is still opening nothing is removed', async () => {
  await using desk = await openDesk();
  using other = place();
  const opening = await openingHost(join(other.path, 'first'), 'SIGSTOP');
  try {
    const isStopped = () => /\) T /.test(readFileSync(`/proc/${opening.pid}/stat`, 'utf8'));
    await until('the stop', isStopped);
    const path = join(other.path, 's');
    await using control = createControl({ runtime: desk.house.runtime, path });
    await within('listening', control.listening);
    opening.kill('SIGCONT');
    const reader = opening.stdout.getReader();
    const { value } = await within('its start', reader.read());
    expect(new TextDecoder().decode(value)).toBe('listens\n');
    expect(readdirSync(other.path).sort()).toEqual(['first', 'first.token', 's', 's.token']);
  } finally {
    opening.kill('SIGKILL');
    await opening.exited;
  }
});

test('a file that is no socket is left alone', async () => {
  await using desk = await openDesk();
  using other = place();
  const path = join(other.path, 'notes');
  writeFileSync(path, 'mine');
  const control = createControl({ runtime: desk.house.runtime, path });
  const error = await rejectionOf(control.listening);
  expect(error.message).toContain('there is a file, which is no socket');
  expect(readdirSync(other.path)).toEqual(['notes']);
});

test('a path that cannot be is refused with the reason', async () => {
  await using desk = await openDesk();
  const { runtime } = desk.house;
  const errnoOf = async (path: string) =>
    (await rejectionOf(createControl({ runtime, path }).listening)).errno;
  expect(await errnoOf('/nowhere/at/all/s')).toBe('ENOENT');
  expect(await errnoOf(`/tmp/${'x'.repeat(120)}`)).toBe('ENAMETOOLONG');
});

test('the default is in the user’s own directory, and in none that others could write to', async () => {
  await using desk = await openDesk();
  const { runtime } = desk.house;
  using other = place();
  const before = process.env.XDG_RUNTIME_DIR;
  try {
    process.env.XDG_RUNTIME_DIR = other.path;
    const control = createControl({ runtime });
    expect((await control.listening).path).toBe(join(other.path, 'absolute-runtime.sock'));
    await control.close();
    expect(readdirSync(other.path)).toEqual([]);
  } finally {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = before;
  }
});

test("without a directory of the system's it takes one of the user's own, and no other's", async () => {
  await using desk = await openDesk();
  const { runtime } = desk.house;
  const { getuid, env } = process;
  const before = env.XDG_RUNTIME_DIR;
  // A user whom this machine does not have, so that no other host is met.
  const uid = 3_000_000_000 + process.pid;
  const own = `/tmp/absolute-runtime-${uid}`;
  delete env.XDG_RUNTIME_DIR;
  process.getuid = () => uid;
  try {
    const error = await rejectionOf(createControl({ runtime }).listening);
    expect(error).toMatchObject({ code: 'ERR_RUNTIME_LISTEN', errno: 'EACCES' });
    expect(error.message).toContain(`${own}, which others could write to`);
    expect(lstatSync(own).mode & 0o777).toBe(0o700);
    if (getuid?.() !== 0) return;
    chownSync(own, uid, uid);
    const control = createControl({ runtime });
    expect((await control.listening).path).toBe(`${own}/control.sock`);
    await control.close();
    chmodSync(own, 0o770);
    expect((await rejectionOf(createControl({ runtime }).listening)).errno).toBe('EACCES');
  } finally {
    if (before !== undefined) env.XDG_RUNTIME_DIR = before;
    if (getuid !== undefined) process.getuid = getuid;
    rmSync(own, { recursive: true, force: true });
  }
});

test('dispose closes it last, and removes the socket', async () => {
  await using tenants = new Tenants().add('app');
  const runtime = createRuntime({ source: tenants.source });
  const path = join(tenants.root, 's');
  const control = createControl({ runtime, path });
  await control.listening;
  await runtime.ensure('app');
  await runtime.dispose();
  expect(existsSync(path)).toBe(false);
  await control.close();
  expect(() => createControl({ runtime })).toThrow('runtime has been disposed');
});

test('options are checked when it is created', async () => {
  await using desk = await openDesk();
  await using tenants = new Tenants();
  await using runtime = createRuntime({ source: tenants.source });
  const problemOf = (options: object) => {
    try {
      createControl({ runtime, ...options } as never);
    } catch (error: any) {
      return `${error.code}: ${error.message}`;
    }
    return 'none';
  };
  const prefix = 'ERR_RUNTIME_INVALID_OPTION: ';
  expect(problemOf({ runtime: {} })).toBe(
    `${prefix}runtime must be what createRuntime returned, got an object`,
  );
  expect(problemOf({ gateway: {} })).toBe(
    `${prefix}gateway must be what createGateway returned, got an object`,
  );
  const { gateway } = desk.house;
  expect(problemOf({ gateway: [gateway] })).toBe(
    `${prefix}gateway[0] is in front of another runtime`,
  );
  expect(problemOf({ paht: 'x' })).toBe(`${prefix}paht is not an option; did you mean path?`);
  expect(problemOf({ path: '' })).toBe(`${prefix}path must be a path, got ""`);
  expect(problemOf({ name: 'a\nb' })).toContain(
    `${prefix}name must be a text without control characters`,
  );
  expect(problemOf({ logs: { lines: 1 } })).toContain(`${prefix}logs.lines is not an option`);
  expect(problemOf({ logs: { maxBytes: 1e9 } })).toContain('give logs.directory, too');
  expect(problemOf({ logs: { linesPerTenant: 0 } })).toContain('of at least 1');
});

/** What comes back for these bytes; the socket is then closed by the other side, or by us. */
function raw(path: string, bytes: string, isEnough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path, () => socket.write(bytes));
    socket.setEncoding('utf8');
    socket.on('data', (part) => {
      text += part;
      if (isEnough(text)) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
    setTimeout(() => reject(new Error(`not enough: ${text}`)), 20_000).unref();
  });
}

test('odd clients get their answers, and the others theirs', async () => {
  await using desk = await openDesk();
  const token = readFileSync(`${desk.path}.token`, 'utf8').trim();
  const ask = (target: string) => `GET ${target} HTTP/1.1\r\nHost: x\r\n${token}\r\n\r\n`;
  const statuses = (text: string) =>
    [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
  const pipelined = await raw(
    desk.path,
    ask('/host') + ask('/nothing') + ask('/events'),
    (text) => statuses(text).length === 3 && text.endsWith('}\n'),
  );
  expect(statuses(pipelined)).toEqual(['200', '404', '200']);
  const ends = (text: string) => statuses(text).length > 0;
  expect(statuses(await raw(desk.path, ask(`/events?key=${'x'.repeat(100_000)}`), ends))).toEqual([
    '431',
  ]);
  expect(statuses(await raw(desk.path, 'nonsense\r\n\r\n', ends))).toEqual(['400']);
  expect(statuses(await raw(desk.path, ask('http://x/host'), ends))).toEqual(['404']);
  expect(statuses(await raw(desk.path, ask('/tenants/../../etc/passwd'), ends))).toEqual(['404']);
  expect((await desk.ask('/host')).status).toBe(200);
});

test('only so many clients may stay', async () => {
  await using desk = await openDesk();
  const followed = Array.from({ length: 101 }, () => desk.follow('/host'));
  const told = () =>
    followed.filter((one) => one.told.some(({ event }) => event === 'host')).length;
  await until('a hundred', () => told() === 100);
  expect((await desk.ask('/host', 'GET', { accept: 'text/event-stream' })).status).toBe(503);
  for (const one of followed) one[Symbol.dispose]();
  await desk.eventually('room', async () => {
    using one = desk.follow('/host');
    return (await one.next('host')) !== undefined;
  });
});
