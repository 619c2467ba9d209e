// Any program may listen on a held port, so an answer alone does not prove that it is the
// tenant's. A start on whose port another process listens fails at once and names that process;
// nothing is sent there, and the next start gets another port.
import { expect, test } from 'bun:test';
import type { RuntimeOptions } from '@absolutejs/runtime';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPool, SERVER, textOf, until } from '../support/processes/index.ts';

/**
 * Listens on the given port, reports that and every connection, and ends with its standard input.
 */
const THIEF = `
const { createServer } = require('node:net');
const [port, host] = process.argv.slice(1);
const server = createServer((socket) => {
  console.log('connected');
  socket.end('HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\n\\r\\nthief');
});
server.listen(Number(port), host, () => console.log('listening'));
process.stdin.on('end', () => process.exit()).resume();
`;

async function steal(port: number, host: string) {
  const child = spawn('node', ['-e', THIEF, `${port}`, host], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (text) => (said += text));
  await until('the thief listens', () => said.includes('listening'));
  return {
    pid: child.pid,
    wasConnectedTo: () => said.includes('connected'),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

/** Listens where `HOST` says once there is a file `go`, and until then waits. */
const WAITING = `
import { existsSync } from 'node:fs';
console.log('booting');
while (!existsSync('go')) await Bun.sleep(5);
${SERVER.replace('port:', 'hostname: process.env.HOST, port:')}
`;

type Case = { at: string; thiefAt: string };

async function whileStolen({ at, thiefAt }: Case, options: Partial<RuntimeOptions> = {}) {
  const pool = createPool({ command: ['bun', 'server.ts'], env: { HOST: at }, ...options });
  pool.tenants.add('app', { 'server.ts': WAITING });
  const pending = pool.runtime.ensure('app').catch((error) => error);
  const { port } = await until('it is spawned', () => pool.events.of('spawn')[0]);
  return { pool, pending, port, thief: () => steal(port, thiefAt) };
}

test.each<Case>([
  { at: '127.0.0.1', thiefAt: '127.0.0.1' },
  { at: '0.0.0.0', thiefAt: '127.0.0.1' },
  { at: '127.0.0.1', thiefAt: '::' },
  { at: '127.0.0.1', thiefAt: '::1' },
])('a port that another listens on first fails the start at once: %p', async (who) => {
  const stolen = await whileStolen(who);
  await using pool = stolen.pool;
  await using thief = await stolen.thief();
  const error = await stolen.pending;
  expect(error.code).toBe('ERR_RUNTIME_PORT_TAKEN');
  expect(error.key).toBe('app');
  expect(error.message).toMatch(
    new RegExp(`process ${thief.pid} \\(.*node\\) listens on port ${stolen.port}`),
  );
  expect(thief.wasConnectedTo()).toBeFalse();
  // It was not the key's failure: the next start is let in at once, and gets another port.
  expect(pool.runtime.stats().backoff).toBe(0);
  pool.tenants.write('app/go', '');
  const tenant = await pool.runtime.ensure('app');
  expect(tenant.port).not.toBe(stolen.port);
  expect(await textOf(tenant)).toBe('hello');
  await pool.dispose();
});

test('the error of a tenant that ended because its port was taken says so', async () => {
  const stolen = await whileStolen(
    { at: '127.0.0.1', thiefAt: '127.0.0.1' },
    { readiness: () => new Promise(() => {}) },
  );
  await using pool = stolen.pool;
  await using thief = await stolen.thief();
  // It finds its port in use.
  pool.tenants.write('app/go', '');
  const error = await stolen.pending;
  expect(error.code).toBe('ERR_RUNTIME_PORT_TAKEN');
  expect(error.message).toContain(`process ${thief.pid} `);
  expect(pool.runtime.stats().backoff).toBe(0);
  await pool.dispose();
});

test("a readiness of the user's own does not make a thief the tenant", async () => {
  const asked = Promise.withResolvers<boolean>();
  const stolen = await whileStolen(
    { at: '127.0.0.1', thiefAt: '127.0.0.1' },
    { readiness: () => asked.promise },
  );
  await using pool = stolen.pool;
  await using thief = await stolen.thief();
  asked.resolve(true);
  expect((await stolen.pending).code).toBe('ERR_RUNTIME_PORT_TAKEN');
  expect(thief.wasConnectedTo()).toBeFalse();
  await pool.dispose();
});

test("a readiness of the user's own counts if no process listens", async () => {
  await using pool = createPool({ command: ['sleep', '1000'], readiness: async () => true });
  pool.tenants.add('app');
  const tenant = await pool.runtime.ensure('app');
  expect(tenant.port).toBeGreaterThan(0);
  expect(pool.runtime.stats().running).toBe(1);
  await pool.dispose();
});

/**
 * Its server's thread shares no descriptors with the others: what it listens on is in a table of
 * its own.
 */
const APART = `
import { dlopen } from 'bun:ffi';
const CLONE_FILES = 0x400;
if (Bun.isMainThread) {
  new Worker(import.meta.url);
} else {
  const libc = dlopen('libc.so.6', { unshare: { args: ['i32'], returns: 'i32' } });
  if (libc.symbols.unshare(CLONE_FILES) !== 0) throw new Error('cannot unshare');
  ${SERVER}
}
`;

test("a listener that one thread of the tenant has for itself is the tenant's", async () => {
  await using pool = createPool({ command: ['bun', 'server.ts'] });
  pool.tenants.add('app', { 'server.ts': APART });
  expect(await textOf(await pool.runtime.ensure('app'))).toBe('hello');
  await pool.dispose();
});

/** Starts tenants as a user would. */
const ownSpawn: RuntimeOptions['spawn'] = async ({ cwd, env }) =>
  Bun.spawn([process.execPath, 'server.ts'], { cwd, env, stdout: 'ignore', stderr: 'ignore' });

test("the same holds for a process of the user's own spawn", async () => {
  const stolen = await whileStolen({ at: '127.0.0.1', thiefAt: '127.0.0.1' }, { spawn: ownSpawn });
  await using pool = stolen.pool;
  {
    await using thief = await stolen.thief();
    const error = await stolen.pending;
    expect(error.code).toBe('ERR_RUNTIME_PORT_TAKEN');
    expect(error.message).toContain(`process ${thief.pid} `);
    expect(thief.wasConnectedTo()).toBeFalse();
  }
  pool.tenants.write('app/go', '');
  expect(await textOf(await pool.runtime.ensure('app'))).toBe('hello');
  await pool.dispose();
});

test('a process that stands for a resource elsewhere need not listen itself', async () => {
  const spawn: RuntimeOptions['spawn'] = async (args) =>
    Object.assign(await ownSpawn(args), { resourceId: 'container-7' });
  const stolen = await whileStolen({ at: '127.0.0.1', thiefAt: '127.0.0.1' }, { spawn });
  await using pool = stolen.pool;
  await using proxy = await stolen.thief();
  expect((await stolen.pending).resourceId).toBe('container-7');
  expect(proxy.wasConnectedTo()).toBeTrue();
  await pool.dispose();
});

test('a thief that takes the port of every start makes the key back off in the end', async () => {
  // It is to back off still when it is looked at, on a slow machine, too.
  const backoff = { baseMs: 60_000 };
  const stolen = await whileStolen({ at: '127.0.0.1', thiefAt: '127.0.0.1' }, { backoff });
  await using pool = stolen.pool;
  let { pending, port } = stolen;
  const pardoned = 3;
  for (let times = 1; times <= pardoned + 1; times++) {
    await using _ = await steal(port, '127.0.0.1');
    expect((await pending).code).toBe('ERR_RUNTIME_PORT_TAKEN');
    expect(pool.runtime.stats().backoff).toBe(times <= pardoned ? 0 : 1);
    if (times > pardoned) break;
    pending = pool.runtime.ensure('app').catch((error) => error);
    ({ port } = await until('it is spawned again', () => pool.events.of('spawn')[times]));
  }
  const error = await pool.runtime.ensure('app').catch((error) => error);
  expect(error.code).toBe('ERR_RUNTIME_BACKOFF');
  expect(error.message).toContain(`listens on port ${port}`);
  await pool.dispose();
});
