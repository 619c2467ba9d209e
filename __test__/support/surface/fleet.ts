// A `spawn` of processes that exist in memory only, each under the test's control.
import type { RuntimeProcess, SpawnFn } from '@absolutejs/runtime';
import { within } from './wait.ts';

export type SpawnArgs = Parameters<SpawnFn>[0];
export type Signal = 'SIGTERM' | 'SIGKILL' | undefined;
export type KillBehaviour = (process: FakeProcess, signal: Signal) => void | Promise<void>;

/** Pids above those of Linux, so that no real process has one. */
let lastPid = 2 ** 30;

/** A process that ends with `code` as soon as `kill` is called. */
export const obeysWith =
  (code: number | null): KillBehaviour =>
  (process) =>
    process.exit(code);

/** A process that goes on whatever it is asked. */
export const ignoresKill: KillBehaviour = () => {};

export class FakeProcess implements RuntimeProcess {
  readonly pid = ++lastPid;
  readonly exited: Promise<number | null>;
  /** The arguments of all calls of `kill`. */
  readonly kills: Signal[] = [];
  declare port?: number;
  declare resourceId?: string;
  onKill: KillBehaviour = obeysWith(null);
  /** Ends the process; a second call does nothing. */
  readonly exit: (code: number | null) => void;
  readonly args: SpawnArgs;

  constructor(args: SpawnArgs) {
    this.args = args;
    const { promise, resolve } = Promise.withResolvers<number | null>();
    this.exited = promise;
    this.exit = resolve;
  }

  get key(): string {
    return this.args.key;
  }

  kill(signal?: Signal): void | Promise<void> {
    this.kills.push(signal);
    return this.onKill(this, signal);
  }

  log(line: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    this.args.onLogLine({ key: this.key, pid: this.pid, stream, line, at: Date.now() });
  }
}

/** A process that no runtime has started, to be adopted. */
export function handedOver(has: { port?: number; resourceId?: string } = {}): FakeProcess {
  const key = 'adopted';
  return Object.assign(new FakeProcess({ key, cwd: '', env: {}, onLogLine() {} }), has);
}

export class Fleet {
  readonly processes: FakeProcess[] = [];
  /** Called with each new process before `spawn` resolves with it. */
  prepare: (process: FakeProcess) => void | Promise<void> = () => {};
  #watchers = new Set<() => void>();

  readonly spawn = async (args: SpawnArgs): Promise<FakeProcess> => {
    const process = new FakeProcess(args);
    this.processes.push(process);
    for (const watcher of this.#watchers) watcher();
    await this.prepare(process);
    return process;
  };

  of(key: string): FakeProcess[] {
    return this.processes.filter((process) => process.key === key);
  }

  /** The latest process of the key. */
  the(key: string): FakeProcess {
    const process = this.of(key).at(-1);
    if (process === undefined) throw new Error(`no process of ${key} was started`);
    return process;
  }

  /** Resolves when `spawn` has been called for the key the `count`th time. */
  async called(key: string, count = 1): Promise<FakeProcess> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watcher = (): void => void (this.of(key).length >= count && resolve());
    this.#watchers.add(watcher);
    watcher();
    await within(`spawn of ${key}`, promise).finally(() => this.#watchers.delete(watcher));
    return this.of(key)[count - 1]!;
  }

  /** Ends all processes, whatever their `kill` does. */
  release(): void {
    for (const process of this.processes) {
      process.onKill = obeysWith(0);
      process.exit(0);
    }
  }
}
