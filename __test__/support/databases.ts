/** Servers of databases that are installed on this machine, for the length of a test file. */
import { afterAll } from 'bun:test';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const POSTGRES = '/usr/lib/postgresql';
/** PostgreSQL runs as no root, and only as a user that has a name: `nobody`. */
const DATABASE_USER = 65_534;

/** Where PostgreSQL's programs are; undefined if it is not installed. */
export function postgresPrograms(): string | undefined {
  if (!existsSync(POSTGRES)) return undefined;
  const newest = readdirSync(POSTGRES).sort().at(-1) ?? '';
  const directory = join(POSTGRES, newest, 'bin');
  return existsSync(join(directory, 'initdb')) ? directory : undefined;
}

/** Where Redis' server is; undefined if it is not installed. It is a server when it is called so. */
export const redisProgram = (): string | undefined =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => join(directory, 'redis-check-rdb'))
    .find(existsSync);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts PostgreSQL with a user `app` who needs no password, and returns its port. */
export async function startPostgres(bin: string, more: readonly string[] = []): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'abs-postgres-'));
  const isRoot = process.getuid?.() === 0;
  const options = isRoot ? { uid: DATABASE_USER, gid: DATABASE_USER } : {};
  if (isRoot) chownSync(directory, DATABASE_USER, DATABASE_USER);
  chmodSync(directory, 0o700);
  const init = [
    '--pgdata',
    directory,
    '--username=app',
    '--auth=trust',
    '--no-sync',
    '--no-locale',
  ];
  execFileSync(join(bin, 'initdb'), init, { ...options, cwd: '/', stdio: 'ignore' });
  const port = await freePort();
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', ...more];
  const args = [
    '-D',
    directory,
    '-p',
    `${port}`,
    ...settings.flatMap((setting) => ['-c', setting]),
  ];
  const server = spawn(join(bin, 'postgres'), args, {
    ...options,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  endAfterwards(server, 'SIGINT', directory);
  await said(server.stderr, 'ready to accept connections');
  return port;
}

/** Starts Redis, which keeps nothing, and returns its port. */
export async function startRedis(program: string, more: readonly string[] = []): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'abs-redis-'));
  const port = await freePort();
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory, '--save', ''];
  const server = spawn(program, [...args, ...more], {
    argv0: 'redis-server',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  endAfterwards(server, 'SIGTERM', directory);
  await said(server.stdout, 'Ready to accept connections');
  return port;
}

function endAfterwards(server: ChildProcess, signal: NodeJS.Signals, directory: string): void {
  afterAll(async () => {
    server.kill(signal);
    if (server.exitCode === null) await once(server, 'exit');
    rmSync(directory, { recursive: true, force: true });
  });
}

/** Resolves when the program has said so; what it says later is read and let go. */
function said(stream: NodeJS.ReadableStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    stream.on('data', (bytes) => {
      output = (output + bytes).slice(-10_000);
      if (output.includes(text)) resolve();
    });
    stream.once('end', () => reject(new Error(`it ended without "${text}": ${output}`)));
  });
}
