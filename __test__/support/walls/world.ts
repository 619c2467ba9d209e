/**
 * A host with four tenants for hostile tests: `attacker` and `victim` within walls, `control`
 * without, and `later`, which a test starts. All run the same program, which tries what a test asks
 * for. What the attacker is refused, `control` is not, so that a test can fail.
 *
 * There is a world as root, one as root with a user for each tenant, and one as an ordinary user.
 */
import { afterAll, beforeAll, describe } from 'bun:test';
import type { TenantStatus } from '@absolutejs/runtime';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startHost, type Host } from '../processes/hosts.ts';
import { keeperOf, markedWith, untilGone, wardenOf } from '../processes/table.ts';
import { until } from '../processes/until.ts';
import { WALLS } from './kernel.ts';
import { ask, type AttemptName, type Attempts, type Outcome, putProgram } from './ask.ts';

export const isRoot = process.getuid?.() === 0;
/** Users that no other program has. */
const ORDINARY_USER = 48_211;
const FIRST_OF_RANGE = 48_300;
const KEYS_OF_RANGE = 16;

const WORLDS = {
  'as root': { isolation: WALLS, user: 0 },
  'with a user each': {
    isolation: { ...WALLS, user: { first: FIRST_OF_RANGE, count: KEYS_OF_RANGE } },
    user: 0,
  },
  'as an ordinary user': { isolation: WALLS, user: isRoot ? ORDINARY_USER : process.getuid?.() },
} as const;
export type WorldName = keyof typeof WORLDS;
const worldNames = Object.keys(WORLDS) as WorldName[];
/** As an ordinary user there is only one. */
const possibleWorlds = isRoot ? worldNames : (['as an ordinary user'] as const);

export type Key = 'attacker' | 'victim' | 'control' | 'later';
const KEYS: readonly Key[] = ['attacker', 'victim', 'control', 'later'];
type Tenant = { pid: number; port: number; directory: string; secret: string };

/** What an attempt may end with; one for all worlds, or one for each. */
type Expected = string | readonly string[] | Partial<Record<WorldName, string | readonly string[]>>;

export class World implements AsyncDisposable {
  readonly name: WorldName;
  /** Holds the tenants' root and the files of the host; anybody may enter it. */
  readonly directory = fs.mkdtempSync(join(tmpdir(), 'abs-walls-of-test-'));
  readonly root = join(this.directory, 'tenants');
  /** A file of the host's. */
  readonly hostFile = join(this.directory, 'host-secret.txt');
  readonly hostSecret = `secret of the host ${crypto.randomUUID()}`;
  readonly tenants = {} as Record<Key, Tenant>;
  /** Where the victim and the host have their secrets in memory. */
  addressInVictim = '';
  addressInHost = '';
  #host!: Host;
  #calls = 0;

  constructor(name: WorldName) {
    this.name = name;
    fs.mkdirSync(this.root);
    fs.writeFileSync(this.hostFile, this.hostSecret);
    for (const key of KEYS) this.#writeTenant(key);
    const { user } = WORLDS[name];
    if (isRoot) giveTo(user ?? 0, this.directory);
    fs.chmodSync(this.directory, 0o755);
  }

  /** Modes that allow everything to everybody: what is refused is refused by the walls. */
  #writeTenant(key: Key): void {
    const directory = join(this.root, key);
    const secret = `secret of ${key} ${crypto.randomUUID()}`;
    putProgram(directory);
    fs.writeFileSync(join(directory, 'secret.txt'), secret);
    fs.chmodSync(join(directory, 'secret.txt'), 0o666);
    this.tenants[key] = { pid: 0, port: 0, directory, secret };
  }

  async open(): Promise<void> {
    const { isolation, user } = WORLDS[this.name];
    const asUser = `setpriv --reuid=${user} --regid=${user} --clear-groups`;
    this.#host = startHost('Bun', 'walls.mjs', [this.root, JSON.stringify(isolation)], {
      env: { ...process.env, HOST_SECRET: this.hostSecret, HOME: this.directory },
      before: `umask 022; set -- ${isRoot && user !== 0 ? asUser : ''} "$@"`,
    });
    for (const key of KEYS) if (key !== 'later') await this.start(key);
    const held = await this.try('victim', 'holdInMemory', this.tenants.victim.secret);
    this.addressInVictim = held.detail;
    this.addressInHost = await this.#host.saidJson('secret');
  }

  get host() {
    return this.#host;
  }

  get warden(): number {
    return wardenOf(this.#host.pid)?.pid ?? 0;
  }

  keeperOf(key: Key): number {
    return keeperOf(this.tenants[key].pid)?.pid ?? 0;
  }

  file(key: Key, name = 'secret.txt'): string {
    return join(this.tenants[key].directory, name);
  }

  /** Calls a method of the runtime. */
  async call<T>(method: 'ensure' | 'kill' | 'inspect', key: Key): Promise<T> {
    const id = `call-${++this.#calls}`;
    this.#host.say(`${id} ${method} ${key}`);
    const { answer, error } = await this.#host.saidJson<{ answer: T; error?: string }>(id);
    if (error !== undefined) throw new Error(`${method} ${key}: ${error}`);
    return answer;
  }

  /** Starts a tenant; with a user of its own it gets its directory. */
  async start(key: Key): Promise<void> {
    const tenant = await this.call<{ pid: number; port: number }>('ensure', key);
    Object.assign(this.tenants[key], tenant);
    const user = (await this.call<TenantStatus>('inspect', key)).isolation?.user;
    if (user != null) giveTo(user, this.tenants[key].directory);
  }

  /** The events of that type that the host has told of so far. */
  told<T>(type: string, key: Key): T[] {
    return this.#host.lines
      .filter((line) => line.startsWith(`${type} {`))
      .map((line) => JSON.parse(line.slice(type.length + 1)))
      .filter((event) => event.key === key);
  }

  /** Kills its main process, and waits for the exit. */
  async crash(key: Key): Promise<void> {
    const { pid } = this.tenants[key];
    process.kill(pid, 'SIGKILL');
    await until(`the crash of ${key} is told`, () =>
      this.told<{ pid: number; reason: string }>('exit', key).some(
        (exit) => exit.pid === pid && exit.reason === 'crashed',
      ),
    );
  }

  /** Has a tenant make an attempt. */
  async try<A extends AttemptName>(
    key: Key,
    attempt: A,
    ...args: Parameters<Attempts[A]>
  ): Promise<Outcome> {
    return ask(this.tenants[key].port, { attempt, args });
  }

  /** The same, by a child of the tenant's. */
  async tryInChild<A extends AttemptName>(
    key: Key,
    attempt: A,
    ...args: Parameters<Attempts[A]>
  ): Promise<Outcome> {
    return ask(this.tenants[key].port, { attempt, args, isChilds: true });
  }

  /**
   * The attacker's attempt ends with one of these errors, and that of `control` as it says: by
   * default it works.
   */
  async refuses<A extends AttemptName>(
    attempt: A,
    args: Parameters<Attempts[A]>,
    refusals: Expected,
    { control = 'ok' as Expected, isChilds = false } = {},
  ): Promise<void> {
    const { attacker, control: other } = this.tenants;
    const what = `${attempt}(${JSON.stringify(args).slice(1, -1)})`;
    const asked = { attempt, args, isChilds };
    this.expectOutcome(`attacker: ${what}`, await ask(attacker.port, asked), refusals);
    this.expectOutcome(`control: ${what}`, await ask(other.port, asked), control);
  }

  expectOutcome(what: string, { outcome, detail }: Outcome, expected: Expected): void {
    const isForAll = typeof expected === 'string' || Array.isArray(expected);
    const here = isForAll ? expected : (expected as Record<string, string>)[this.name];
    const wanted = [here ?? 'ok'].flat();
    if (wanted.includes(outcome)) return;
    throw new Error(`${what}: ${outcome}, not ${wanted.join(' or ')}: ${detail.slice(0, 300)}`);
  }

  /** How many signals of the kind the victim has handled, all that were sent before included. */
  async signalsOfVictim(kind: 'SIGURG' | 'SIGWINCH'): Promise<number> {
    const read = async () =>
      JSON.parse((await this.try('victim', 'signalsSeen')).detail) as Record<string, number>;
    const before = (await read()).SIGWINCH ?? 0;
    // Signals are handled in the order in which they arrive.
    process.kill(this.tenants.victim.pid, 'SIGWINCH');
    for (;;) {
      const now = await read();
      if ((now.SIGWINCH ?? 0) > before) return now[kind] ?? 0;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#host.say('end');
      await this.#host.said('disposed');
      await until('the host has ended', () => this.#host.hasEnded);
    } finally {
      await this.#host[Symbol.asyncDispose]();
      await untilGone('what the tenants were', markedWith(this.directory));
      fs.rmSync(this.directory, { recursive: true, force: true });
    }
  }
}

/** Everything in the directory belongs to the user then. */
function giveTo(user: number, directory: string): void {
  fs.chownSync(directory, user, user);
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    fs.lchownSync(join(directory, name), user, user);
  }
}

/** Defines the tests for each of the worlds, each with a host of its own. */
export function inEachWorld(define: (world: () => World, name: WorldName) => void): void {
  for (const name of possibleWorlds) {
    describe(name, () => {
      let world: World | undefined;
      beforeAll(async () => {
        world = new World(name);
        await world.open();
      });
      afterAll(() => world?.[Symbol.asyncDispose]());
      define(() => world!, name);
    });
  }
}
