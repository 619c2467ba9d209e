/**
 * The soak of hosts that are lost: killed at any moment, also while they recover; crashed, left, taken
 * over from, stopped, and late. No tenant that was ready is lost, none is there twice, every end is
 * told, CPU figures never fall, every line is told or counted, and nothing is left in the end. See
 * `npm run soak:survive -- --help`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endLeft, lookAt } from '../../lib/survive/names.js';
import { processes } from '../../__test__/support/processes/table.ts';
import { until } from '../../__test__/support/processes/until.ts';
import { Rng } from '../host/rng.mjs';
import { readSurviveArguments } from './arguments.mjs';
import { Model } from './model.mjs';

const PATIENCE_MS = 60_000;
const MOST_TOLD = 10;

/** How a host is lost, and the next one comes. */
const LOSSES = [
  { weight: 30, how: 'killed' },
  { weight: 20, how: 'killed at once' },
  { weight: 10, how: 'crashed' },
  { weight: 12, how: 'left' },
  { weight: 16, how: 'taken over from' },
  { weight: 8, how: 'killed in a take-over' },
  { weight: 6, how: 'stopped and killed' },
  { weight: 2, how: 'late' },
] as const;
type Loss = (typeof LOSSES)[number]['how'];

const args = readSurviveArguments();
const tenant = process.env.SOAK_TENANT;
if (!tenant)
  throw new Error('SOAK_TENANT must name the compiled tenant: see `npm run soak:survive`');

const root = mkdtempSync(join(tmpdir(), 'runtime-soak-survive-'));
const runtimeDirectory = mkdtempSync(join(tmpdir(), 'abs-s-'));
const env = { XDG_RUNTIME_DIR: runtimeDirectory };
const name = 'soak';
const keys = Array.from({ length: args.tenants }, (_, index) => `tenant-${index}`);
for (const key of keys) mkdirSync(join(root, key));
const rng = new Rng(args.seed);

const violations: string[] = [];
function violation(text: string): void {
  violations.push(text);
  if (violations.length <= MOST_TOLD) console.log(`✘ loss ${losses}, ${lossKind}: ${text}`);
}
const model = new Model(violation);
const counts = Object.fromEntries(LOSSES.map(({ how }) => [how, 0])) as Record<Loss, number>;
let losses = 0;
/** How the last host was lost. */
let lossKind: Loss | '' = '';
let recoveredMs: number[] = [];

class Host {
  readonly life = model.begin();
  readonly child: ChildProcess;
  /** Its process is gone; some of what it has told may still be on its way. */
  readonly gone: Promise<void>;
  readonly ended: Promise<void>;
  #waiting: (() => void)[] = [];
  #held: any[] | undefined = [];
  #errors = '';
  refused: string | undefined;
  /** The host after it may have the name before it does. */
  isOvertaken = false;

  /** What it tells counts after all that those before it have told. */
  #after: readonly Host[];

  constructor(after: readonly Host[], { takeOver = false, forMs = 60_000 } = {}) {
    this.#after = after;
    const engine = args.engine === 'both' ? rng.pick(['bun', 'node']) : args.engine;
    const assignment = {
      root,
      name,
      forMs,
      takeOver,
      tenant,
      keys,
      seed: `${args.seed}/${losses}`,
    };
    const words = [join(import.meta.dir, 'host.mjs'), JSON.stringify(assignment)];
    this.child = spawn(engine === 'bun' ? process.execPath : 'node', words, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stdin!.on('error', () => {});
    this.child.stderr!.on(
      'data',
      (data) => (this.#errors = `${this.#errors}${data}`.slice(-2_000)),
    );
    createInterface(this.child.stdout!).on('line', (line) => this.#take(line));
    this.gone = new Promise((resolve) => this.child.once('exit', () => resolve()));
    this.ended = new Promise((resolve) =>
      this.child.on('close', () => {
        this.#wake();
        resolve();
      }),
    );
    void Promise.all(after.map(({ ended }) => ended)).then(() => {
      const held = this.#held ?? [];
      this.#held = undefined;
      for (const told of held) this.#tell(told);
    });
  }

  #take(line: string): void {
    let told;
    try {
      told = JSON.parse(line);
    } catch {
      return; // Half a line of a host that was killed.
    }
    if (this.#held === undefined) this.#tell(told);
    else this.#held.push(told);
  }

  #tell(told: any): void {
    if (told.of === 'recovered') this.refused = told.code;
    if (this.isOvertaken && this.refused === 'ERR_RUNTIME_IN_USE') this.child.kill('SIGKILL');
    this.life.take(told);
    if (told.of === 'transition' && told.event.type === 'ready')
      alive.set(told.event.key, told.event);
    if (told.of === 'transition' && told.event.type === 'exit') alive.delete(told.event.key);
    if (told.of === 'recovered') for (const one of told.list ?? []) alive.set(one.key, one);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves when it has ended, as it was told to. */
  async left(): Promise<void> {
    const late = setTimeout(() => {
      violation(`host ${this.child.pid} has not left within ${PATIENCE_MS} ms: ${this.#errors}`);
      this.kill('SIGKILL');
    }, PATIENCE_MS);
    await this.ended;
    clearTimeout(late);
  }

  /** Another host comes that takes over. */
  overtake(): void {
    this.isOvertaken = true;
    if (this.refused === 'ERR_RUNTIME_IN_USE') this.child.kill('SIGKILL');
  }

  say = (word: string) => void this.child.stdin!.write(`${word}\n`);
  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Resolves when it has recovered, or has ended, or was refused. */
  async recovered(): Promise<void> {
    const late = setTimeout(() => {
      const there = this.#after.filter(({ child }) => child.exitCode === null && !child.signalCode);
      const why = there.map(({ child }) => `host ${child.pid} before it has not ended`);
      violation(
        `the host has not recovered within ${PATIENCE_MS} ms: ${why.join(', ')} ${this.#errors}`,
      );
      for (const one of there) one.kill('SIGKILL');
      this.kill('SIGKILL');
    }, PATIENCE_MS);
    const isOver = () => this.life.isRecovered || this.refused || this.child.exitCode !== null;
    while (!isOver() && this.child.signalCode === null)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    clearTimeout(late);
    if (!this.life.isRecovered)
      violation(`the host did not recover: ${this.refused ?? this.#errors}`);
  }
}

/** The tenants that are ready, as far as is known. */
const alive = new Map<string, { key: string; pid: number; port: number }>();

/** Tenants print, end and crash by themselves, whether there is a host or not. */
async function disturb(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const { port } = rng.pick([...alive.values()]) ?? {};
    if (port === undefined) return;
    const path = rng.pick([
      `/flood?${1 + rng.below(400)}`,
      '/flood?3',
      '/flood?1',
      '/',
      '/exit?3',
      '/abort',
    ]);
    await fetch(`http://127.0.0.1:${port}${path}`)
      .then((response) => response.text())
      .catch(() => {}); // It has ended by this, or before.
  }
}

/** Loses the host in this way, and returns the next one, which may not have recovered yet. */
async function lose(host: Host, how: Loss): Promise<Host> {
  const moment = () => Bun.sleep(rng.below(60));
  switch (how) {
    case 'killed':
    case 'killed at once':
      host.kill('SIGKILL');
      break;
    case 'crashed':
      host.say('crash');
      break;
    case 'left':
      host.say('detach');
      break;
    case 'taken over from':
      host.overtake();
      return new Host([host], { takeOver: true });
    case 'killed in a take-over': {
      host.overtake();
      const next = new Host([host], { takeOver: true });
      await moment();
      if (rng.below(2) === 0) {
        host.kill('SIGKILL');
        return next;
      }
      next.kill('SIGKILL');
      await next.ended;
      // Whether it had the name by then is not known: whoever has it leaves.
      host.kill('SIGKILL');
      await host.ended;
      return new Host([host, next]);
    }
    case 'stopped and killed':
      host.kill('SIGSTOP');
      await disturb(2);
      host.kill('SIGKILL');
      break;
    case 'late': {
      host.kill('SIGKILL');
      await host.ended;
      const short = new Host([host], { forMs: 20 });
      await short.recovered();
      short.kill('SIGKILL');
      await short.ended;
      await until(
        'all is gone',
        () => !existsSync(join(runtimeDirectory, 'absolute-runtime', `${name}.sock`)),
        PATIENCE_MS,
      );
      for (const known of model.living()) model.forget(known);
      alive.clear();
      return new Host([short]);
    }
  }
  // Until then the name is its own.
  if (how !== 'left') await host.gone;
  // At any moment the next one may come; it waits for what the one before has told.
  if (how !== 'killed at once') await moment();
  if (rng.below(4) === 0) await disturb(1 + rng.below(3));
  if (how === 'left') await host.left();
  return new Host([host]);
}

/** The main processes of the tenants that there are. */
function mainProcesses() {
  return processes().filter(({ pid, parent, state }) => {
    if (state === 'Z') return false;
    try {
      const isKeepers = readFileSync(`/proc/${parent}/comm`, 'utf8').trim() === 'abs-keeper';
      return isKeepers && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(root);
    } catch {
      return false; // It is gone.
    }
  });
}

/** Every process that there is is known: what was starting with the host before ends soon. */
const strangers = () =>
  mainProcesses().filter(({ pid }) => !model.living().some((known) => known.pid === pid));

async function soak(): Promise<void> {
  let host = new Host([]);
  await host.recovered();
  for (losses = 1; losses <= args.losses && violations.length < MOST_TOLD; losses += 1) {
    const { how } = rng.weighted(LOSSES);
    counts[how] += 1;
    lossKind = how;
    if (how !== 'killed at once') {
      if (losses % 10 === 0) {
        await until('only known processes are there', () => strangers().length === 0).catch(() =>
          violation(`unknown processes: ${strangers().map(({ pid }) => pid)}`),
        );
      }
      host.say('go');
      const busy = disturb(rng.below(4));
      await Bun.sleep(rng.below(250));
      await busy;
    } else await Bun.sleep(rng.below(60));
    const from = performance.now();
    const next = await lose(host, how);
    const isAtOnce = how === 'killed at once' && rng.below(2) === 0;
    if (!isAtOnce) {
      await next.recovered();
      recoveredMs.push(performance.now() - from);
    }
    host = next;
    if (losses % 500 === 0) console.log(`› ${losses} losses: ${JSON.stringify(model.figures)}`);
  }
  losses -= 1;
  await host.recovered();
  host.say('dispose');
  await host.left();
  for (const known of model.living())
    violation(`${known.key} ${known.pid}: its end was never told`);
}

const startedAt = performance.now();
process.on('exit', () => {
  for (const directory of [root, runtimeDirectory])
    rmSync(directory, { recursive: true, force: true });
});
try {
  await soak();
} finally {
  await until('no process is left', () => mainProcesses().length === 0).catch(() =>
    violation(`left in the end: ${mainProcesses().map(({ pid }) => pid)}`),
  );
  if ((await lookAt(name, env)) !== null) {
    violation('a warden is left in the end');
    await endLeft(name, env);
  }
}
recoveredMs = recoveredMs.sort((a, b) => a - b);
const median = Math.round(recoveredMs[recoveredMs.length >> 1] ?? 0);
const seconds = Math.round((performance.now() - startedAt) / 1_000);
console.log(
  JSON.stringify({ losses, counts, ...model.figures, medianRecoveryMs: median, seconds }),
);
console.log(`${violations.length ? '✘' : '✔'} ${violations.length} violations in ${losses} losses`);
process.exit(violations.length ? 1 : 0);
