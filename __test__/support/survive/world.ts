// Hosts of one name, one after the other or at once, and tenants that outlive them:
// `await using world = setUp()`. Whatever a test does, nothing is left of it in the end.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type {
  RuntimeLogEvent,
  RuntimeMetricEvent,
  RuntimeOptions,
  RuntimeTransitionEvent,
  Tenant,
  TenantStatus,
} from '@absolutejs/runtime';
import type { GatewayAddress, GatewayOptions } from '@absolutejs/runtime/gateway';
import { endLeft, lookAt } from '../../../lib/survive/names.js';
import { binDirectory, type EngineName, engines } from '../processes/hosts.ts';
import { Tenants } from '../processes/tenants.ts';
import { until, within } from '../processes/until.ts';

/** A tenant that does what its paths say. */
export const SERVER = `
import { appendFileSync } from 'node:fs';
const acts = {
  '/pid': () => String(process.pid),
  '/say': (query) => (console.log(query.get('text')), 'said'),
  '/flood': (query) => {
    const text = 'x'.repeat(Number(query.get('bytes')) - 1);
    for (let n = 0; n < Number(query.get('lines')); n += 1) console.log(n + ' ' + text);
    return 'said';
  },
  '/burn': (query) => {
    const used = () => Object.values(process.cpuUsage()).reduce((sum, us) => sum + us / 1000, 0);
    const until = used() + Number(query.get('ms'));
    while (used() < until);
    return 'burnt';
  },
  '/exit': (query) => (setTimeout(() => process.exit(Number(query.get('code'))), 5), 'ends'),
  '/die': () => (setTimeout(() => process.kill(process.pid, 'SIGSEGV'), 5), 'ends'),
  '/slow': async (query) => (await Bun.sleep(Number(query.get('ms'))), 'at last'),
};
process.on('SIGTERM', () => {
  appendFileSync('ends', 'SIGTERM\\n');
  process.exit(0);
});
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  idleTimeout: 0,
  fetch(request, server) {
    if (request.headers.get('upgrade')) return server.upgrade(request) ? undefined : new Response('no');
    const { pathname, searchParams } = new URL(request.url);
    const answer = acts[pathname]?.(searchParams) ?? 'hello';
    return answer instanceof Promise ? answer.then((text) => new Response(text)) : new Response(answer);
  },
  websocket: { message: (socket, text) => void socket.send('you said ' + text) },
});
console.log('up');
`;

export type Options = {
  engine?: EngineName;
  survive?: Partial<NonNullable<RuntimeOptions['survive']>>;
  options?: Partial<RuntimeOptions>;
  gateway?: Partial<GatewayOptions>;
};

type ErrorOfHost = { code: string; message: string; pid?: number; version?: string };
export type Told =
  | { of: 'transition'; event: RuntimeTransitionEvent }
  | { of: 'metric'; event: RuntimeMetricEvent }
  | { of: 'log'; event: RuntimeLogEvent }
  | { of: 'recovered'; at?: number; error?: ErrorOfHost }
  | { of: 'listening'; addresses?: GatewayAddress[]; error?: ErrorOfHost };
type TransitionOf<T extends RuntimeTransitionEvent['type']> = Extract<
  RuntimeTransitionEvent,
  { type: T }
>;

let names = 0;

export class World implements AsyncDisposable {
  readonly tenants = new Tenants();
  /** A short path, as those of sockets must be. */
  readonly runtimeDirectory = mkdtempSync(join(tmpdir(), 'abs-s-'));
  readonly env = { XDG_RUNTIME_DIR: this.runtimeDirectory };
  readonly name = `test-${process.pid}-${(names += 1)}`;
  readonly hosts: Host[] = [];

  constructor(keys: readonly string[], server: string) {
    for (const key of keys) this.tenants.add(key, { 'server.ts': server });
  }

  /** Starts a host of the name. */
  start({ engine = 'Bun', survive = {}, options = {}, gateway }: Options = {}): Host {
    const given = {
      root: this.tenants.root,
      options: {
        // Without a wrapper: the server is the process whose pid is told.
        command: ['bun', 'server.ts'],
        survive: { name: this.name, ...survive },
        ...options,
      },
      gateway,
    };
    const program = join(import.meta.dir, 'host.mjs');
    const child = spawn(engines[engine], [program, JSON.stringify(given)], {
      env: { ...process.env, ...this.env, PATH: `${binDirectory}:${process.env.PATH}` },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const host = new Host(child);
    this.hosts.push(host);
    return host;
  }

  /** Starts a host, and resolves when it knows what has outlived the one before. */
  async startAndRecover(options?: Options): Promise<Host> {
    const host = this.start(options);
    await host.recovered();
    return host;
  }

  /** Who has the name, as the warden says. */
  look = () => within('the warden says who has the name', lookAt(this.name, this.env));

  get socket() {
    return join(this.runtimeDirectory, 'absolute-runtime', `${this.name}.sock`);
  }

  /** Resolves when no process of the tenants is left, and nobody listens for the name. */
  async untilNothingIsLeft(patienceMs?: number): Promise<void> {
    const left = () => this.tenants.processes().filter(({ pid }) => !this.#isHost(pid));
    await until('no tenant is left', () => left().length === 0, patienceMs);
    await until('the socket is gone', () => !existsSync(this.socket), patienceMs);
  }

  /** A host has the path of the tenants among its arguments. */
  #isHost = (pid: number) => this.hosts.some((host) => host.pid === pid);

  async [Symbol.asyncDispose](): Promise<void> {
    await using _ = this.tenants;
    for (const host of this.hosts) host.kill('SIGKILL');
    await Promise.all(this.hosts.map((host) => host.ended));
    await within('the end of what was left', endLeft(this.name, this.env));
    rmSync(this.runtimeDirectory, { recursive: true, force: true });
  }
}

export const setUp = (keys: readonly string[] = ['a', 'b', 'c'], server = SERVER) =>
  new World(keys, server);

export class Host {
  readonly told: Told[] = [];
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  hasEnded = false;
  errors = '';
  #child: ChildProcess;
  #answers = new Map<number, { resolve: (value: any) => void; reject: (error: unknown) => void }>();
  #asked = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    createInterface(child.stdout!).on('line', (line) => this.#take(JSON.parse(line)));
    child.stderr!.on('data', (data) => (this.errors += data));
    child.stdin!.on('error', () => {});
    this.ended = new Promise((resolve) =>
      child.on('close', (code, signal) => {
        this.hasEnded = true;
        const error = new Error(`the host ended with ${code ?? signal}: ${this.errors}`);
        for (const { reject } of this.#answers.values()) reject(error);
        resolve({ code, signal });
      }),
    );
  }

  get pid() {
    return this.#child.pid ?? 0;
  }

  #take(line: any): void {
    if (line.of !== 'answer') return void this.told.push(line);
    const answer = this.#answers.get(line.id);
    this.#answers.delete(line.id);
    if (line.error === undefined) answer?.resolve(line.value);
    else answer?.reject(Object.assign(new Error(line.error.message), line.error));
  }

  /** Has the host call a method, and resolves to what that resolves to. */
  ask(name: string, ...args: unknown[]): Promise<any> {
    const id = (this.#asked += 1);
    const answer = new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject }));
    answer.catch(() => {});
    this.#child.stdin!.write(`${JSON.stringify({ id, do: name, args })}\n`);
    return within(`${name} ${args.join(' ')}`, answer).catch((error) => {
      if (this.errors !== '') error.message += `\n${this.errors}`;
      throw error;
    });
  }

  ensure = (key: string): Promise<Tenant> => this.ask('ensure', key);
  ensureAll = (keys: readonly string[]) => Promise.all(keys.map(this.ensure));
  list = (): Promise<TenantStatus[]> => this.ask('list');

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks no more: what keeps it alive then is its own. */
  endInput(): void {
    this.#child.stdin!.end();
  }

  /** Kills it, and resolves when it is gone. */
  async murder(): Promise<void> {
    this.kill('SIGKILL');
    await within('the host is gone', this.ended);
  }

  /** The first line that fits, once there is one. */
  async hears<T>(
    what: string,
    find: (told: readonly Told[]) => T | undefined | false,
    patienceMs?: number,
  ) {
    return until(
      what,
      () => {
        const found = find(this.told);
        if ((found === undefined || found === false) && this.hasEnded)
          throw new Error(`the host ended before ${what}: ${this.errors}`);
        return found;
      },
      patienceMs,
    );
  }

  /** Resolves when it knows what has outlived the host before; rejects when it cannot. */
  async recovered(patienceMs?: number): Promise<void> {
    const told = await this.hears(
      'all is recovered',
      (all) => all.find(({ of }) => of === 'recovered') as Extract<Told, { of: 'recovered' }>,
      patienceMs,
    );
    if (told.error) throw Object.assign(new Error(told.error.message), told.error);
  }

  /** The port that its gateway listens on. */
  async listening(): Promise<number> {
    const told = await this.hears(
      'the gateway listens',
      (all) => all.find(({ of }) => of === 'listening') as Extract<Told, { of: 'listening' }>,
    );
    if (told.error) throw Object.assign(new Error(told.error.message), told.error);
    return told.addresses?.[0]?.port ?? 0;
  }

  transitions(): RuntimeTransitionEvent[] {
    return this.told.flatMap((told) => (told.of === 'transition' ? [told.event] : []));
  }

  all<T extends RuntimeTransitionEvent['type']>(type: T): TransitionOf<T>[] {
    return this.transitions().filter((event): event is TransitionOf<T> => event.type === type);
  }

  /** The event of this type and key, once it is told. */
  event<T extends 'exit' | 'ready' | 'recover' | 'spawn'>(type: T, key: string) {
    return this.hears(`${type} of ${key}`, () =>
      this.all(type).find((event) => 'key' in event && event.key === key),
    );
  }

  lines(key: string): RuntimeLogEvent[] {
    return this.told.flatMap((told) =>
      told.of === 'log' && told.event.key === key ? [told.event] : [],
    );
  }

  /** The line, once it is told. */
  line(key: string, text: string) {
    return this.hears(`${key} says ${text}`, () =>
      this.lines(key).find(({ line }) => line === text),
    );
  }
}

/** Asks a tenant itself, past every host. */
export const tell = async ({ port }: { port: number }, path: string) =>
  (
    await within(
      path,
      fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } }),
    )
  ).text();

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
