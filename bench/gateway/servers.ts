// The servers of the gateway's benchmarks: what stands behind the gateway, nginx in front of it, and
// the gateway.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Runtime, RuntimeOptions } from '@absolutejs/runtime';
import type { Gateway, GatewayOptions } from '@absolutejs/runtime/gateway';
import { loadPool, NotPossible } from '../lib/scenario.ts';
import { firstOk } from '../lib/tenants.ts';
import { freePort } from '../scenarios/cold.ts';

export const BODY = 'hello, world\n';
const KEY = 'app';
const CLOCK_TICKS_PER_SECOND = 100;

/** Something that listens: where, as which process, and how much CPU time it has used so far. */
export interface Server {
  port: number;
  pid: number;
  /** CPU time of the process that serves, in µs. */
  cpuUs: () => number;
  /** Its resident memory, in bytes. */
  residentBytes: () => number;
}

/** What is in front of a server. */
export type Front = (behind: Server) => Promise<Server>;

const children = new Map<ChildProcess, NodeJS.Signals>();
process.on('exit', () => children.forEach((signal, child) => child.kill(signal)));

/** Starts a program that is found in `PATH`, and ends it with this process. Its input stays open. */
export function start(
  command: string,
  args: readonly string[],
  env?: object,
  endsBy: NodeJS.Signals = 'SIGKILL',
): ChildProcess {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  child.on('error', ({ message }) => {
    throw new NotPossible(`${command} cannot be started: ${message}`);
  });
  children.set(child, endsBy);
  return child;
}

/** nginx with one worker that answers every request by itself, the cheapest server there is. */
export const helloServer = () =>
  nginx(
    (port) => `server { listen 127.0.0.1:${port}; location / { return 200 "hello, world\\n"; } }`,
  );

/** A Bun server with everything else: see app.ts. */
export async function bunServer(): Promise<Server> {
  const port = await freePort();
  const child = start(process.execPath, [new URL('app.ts', import.meta.url).pathname], {
    PORT: String(port),
  });
  await firstOk(port);
  return server(port, child.pid ?? 0);
}

/** nginx as a proxy with one worker, connections to the server kept. */
export const throughNginx =
  (tls?: Certificate): Front =>
  (behind) =>
    nginx(
      (port) => `
  upstream behind { server 127.0.0.1:${behind.port}; keepalive 64; keepalive_requests 1000000; }
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
    ${tls ? `ssl_certificate ${tls.certFile}; ssl_certificate_key ${tls.keyFile};` : ''}
    keepalive_requests 1000000; client_max_body_size 0; access_log off;
    location / {
      proxy_pass http://behind; proxy_http_version 1.1;
      proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 1h;
    }
  }`,
    );

async function nginx(servers: (port: number) => string): Promise<Server> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'runtime-bench-nginx-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join(' ');
  writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log ${directory}/error.log;
worker_rlimit_nofile 65536;
events { worker_connections 32768; }
http { access_log off; ${temporary} keepalive_timeout 1h; keepalive_requests 1000000; ${servers(port)} }`,
  );
  // A master that is killed leaves its worker behind.
  const master = start('nginx', ['-c', file, '-p', directory], {}, 'SIGTERM');
  if (master.pid === undefined) throw new NotPossible('needs nginx: apt-get install nginx-light');
  await listens(port);
  // The port is open before there is a worker, which not every kernel shows.
  for (let tries = 0; tries < 1_000 && childrenOf(master.pid).length === 0; tries += 1) {
    await Bun.sleep(1);
  }
  const worker = childrenOf(master.pid)[0] ?? master.pid;
  return server(port, worker);
}

/** The gateway, in this process. */
export const throughGateway =
  (options: Partial<GatewayOptions> = {}): Front =>
  async (behind) => {
    const createRuntime = (await loadPool('ours')) as (options: RuntimeOptions) => Runtime;
    const root = mkdtempSync(join(tmpdir(), 'runtime-bench-'));
    process.on('exit', () => rmSync(root, { recursive: true, force: true }));
    const runtime = createRuntime({ source: { kind: 'directory', root }, idleAfterMs: 0 });
    await runtime.adopt(KEY, process_(behind.pid), { port: behind.port });
    const gateway = await listening({
      runtime,
      route: { by: 'host', hosts: { '127.0.0.1': KEY, localhost: KEY } },
      listen: { port: 0 },
      ...options,
    });
    const own = server(gateway.port, process.pid);
    return { ...own, cpuUs: () => sum(process.cpuUsage()) };
  };

const sum = ({ user, system }: NodeJS.CpuUsage) => user + system;

/** A gateway that listens, and its port. */
export async function listening(
  options: GatewayOptions,
): Promise<{ port: number; gateway: Gateway }> {
  // Not loaded for the scenarios without one.
  const { createGateway } = await import('@absolutejs/runtime/gateway');
  const gateway = createGateway(options);
  const [address] = await gateway.listening;
  return { port: address?.port ?? 0, gateway };
}

/** A process as `adopt` takes it. Here it ends with this process. */
const process_ = (pid: number) => ({ pid, exited: new Promise<null>(() => {}), kill: () => {} });

function server(port: number, pid: number): Server {
  return { port, pid, cpuUs: () => cpuUsOf(pid), residentBytes: () => residentBytesOf(pid) };
}

function cpuUsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND) * 1e6;
}

function residentBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024;
}

function childrenOf(parent: number): number[] {
  return readdirSync(`/proc/${parent}/task/${parent}`).includes('children')
    ? readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
        .trim()
        .split(' ')
        .filter(Boolean)
        .map(Number)
    : [];
}

async function listens(port: number): Promise<void> {
  const socket = () =>
    Bun.connect({ hostname: '127.0.0.1', port, socket: { data() {} } }).then(
      (it) => (it.end(), true),
      () => false,
    );
  while (!(await socket())) await Bun.sleep(1);
}

export interface Certificate {
  certFile: string;
  keyFile: string;
  cert: string;
  key: string;
}

/** A certificate for `localhost` that nothing trusts. */
export function certificate(): Certificate {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-bench-tls-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const args = [
    'req',
    '-x509',
    ...kind,
    '-days',
    '2',
    ...subject,
    '-out',
    certFile,
    '-keyout',
    keyFile,
  ];
  execFileSync('openssl', args, { stdio: 'ignore' });
  const read = (file: string) => readFileSync(file, 'utf8');
  return { certFile, keyFile, cert: read(certFile), key: read(keyFile) };
}
