// The host that `--once` tries: the command `serve` as a child, asked at its gateway as visitors ask
// it, and by the other commands as operators do.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ControlEvent, ControlTenant } from '@absolutejs/runtime/control';
import { program } from './arguments.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const REQUEST_TIMEOUT_MS = 20_000;
const EVENTS_KEPT = '1000';

/** What `serve --json` prints. */
interface Summary {
  pid: number;
  tenants: { key: string; url: string }[];
  dashboard: string;
  control: string;
  protects: { missing: string[] };
}

export class Host {
  readonly #child: ChildProcess;
  readonly summary: Summary;
  readonly #ended: Promise<number | null>;

  private constructor(child: ChildProcess, summary: Summary, ended: Promise<number | null>) {
    this.#child = child;
    this.summary = summary;
    this.#ended = ended;
  }

  /** Resolves once it serves. What it tells of its tenants is kept for when it does not. */
  static async start(args: string[]): Promise<Host> {
    const child = spawn(process.execPath, [program, 'serve', ...args, '--json'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [told, complained] = ['', ''];
    child.stderr.on('data', (data) => (complained += data));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const summary = await new Promise<Summary>((resolve, reject) => {
      child.stdout.on('data', (data) => {
        told += data;
        if (told.endsWith('\n')) resolve(JSON.parse(told));
      });
      void ended.then((code) => reject(new Error(`serve ended with ${code}: ${complained}`)));
    });
    return new Host(child, summary, ended);
  }

  get port(): number {
    return Number(new URL(this.summary.tenants[0]?.url ?? '').port);
  }

  /** Asks a tenant as any program can: the Host header names it. */
  request(tenant: string, path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, {
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...init,
      headers: { host: this.nameOf(tenant), ...(init.headers as Record<string, string>) },
    });
  }

  nameOf(tenant: string): string {
    return `${tenant}.localhost:${this.port}`;
  }

  /** Runs a command against this host; returns what it printed. */
  async command(...args: string[]): Promise<string> {
    const command = [process.execPath, program, ...args, '--control', this.summary.control];
    const child = Bun.spawn(command, { cwd: root, stderr: 'pipe' });
    const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
    const [printed = '', complained = ''] = await Promise.all(texts);
    const code = await child.exited;
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${complained}`);
    return printed;
  }

  /** What `ps` shows of a tenant. */
  async tenant(key: string): Promise<ControlTenant> {
    const [tenant] = JSON.parse(await this.command('ps', key, '--json'));
    return tenant;
  }

  async events(key: string): Promise<ControlEvent[]> {
    const printed = await this.command('events', key, '--lines', EVENTS_KEPT, '--json');
    return printed
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  /** Ends it as a service manager does. Resolves to its exit code. */
  stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.#ended;
  }
}
