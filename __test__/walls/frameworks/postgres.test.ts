// `Bun.sql` reaches a PostgreSQL server of this machine from within walls.
import { afterAll, test } from 'bun:test';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runsWithinWalls } from '../../support/walls/frameworks.ts';

const INSTALLED = '/usr/lib/postgresql';
/** PostgreSQL runs as no root, and only as a user that has a name: `nobody`. */
const DATABASE_USER = 65_534;

function programs(): string | undefined {
  if (!existsSync(INSTALLED)) return undefined;
  const newest = readdirSync(INSTALLED).sort().at(-1) ?? '';
  const directory = join(INSTALLED, newest, 'bin');
  return existsSync(join(directory, 'initdb')) ? directory : undefined;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startDatabase(bin: string): Promise<number> {
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
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off'];
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
  afterAll(async () => {
    server.kill('SIGINT');
    if (server.exitCode === null) await once(server, 'exit');
    rmSync(directory, { recursive: true, force: true });
  });
  for await (const text of server.stderr) {
    if (String(text).includes('ready to accept connections')) break;
  }
  return port;
}

const bin = programs();
if (bin === undefined) {
  test.skip('Bun.sql (there is no PostgreSQL server on this machine)', () => {});
} else {
  const port = await startDatabase(bin);
  await runsWithinWalls({
    name: 'Bun.sql with a local server',
    env: { DATABASE_URL: `postgres://app@127.0.0.1:${port}/postgres` },
    files: {
      'server.ts': `
        import { sql } from 'bun';
        Bun.serve({
          port: process.env.PORT,
          async fetch() {
            const [row] = await sql\`select 40 + \${2}::int as sum, version() as version\`;
            return Response.json(row);
          },
        });`,
    },
    asks: { '/': /"sum":42,"version":"PostgreSQL/ },
  });
}
