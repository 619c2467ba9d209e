/**
 * A checkpoint driver in place of CRIU, with real processes: it "restores" a tenant as a new
 * server on the same port, in a session of its own. And a pool whose tenants are idle when the
 * test says so.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckpointDriver, RuntimeOptions } from '@absolutejs/runtime';
import { createPool } from './pool.ts';
import { descendantsOf, markedWith } from './table.ts';
import type { Tenants } from './tenants.ts';
import { within } from './until.ts';

/** A server that answers with whether it was restored, and from which snapshot. */
const SERVER = `
Bun.serve({ port: Number(process.env.PORT), fetch: () => new Response(process.env.RESTORED ?? 'cold') });`;

/** A process that listens on no port, and ends at SIGTERM. */
export const DEAF = ['sleep', '1000'] as const;

export class Snapshots {
  /** In order: `checkpoint a`, `has a`, … */
  readonly calls: string[] = [];
  /** Where the saved tenant listened, by key. */
  readonly images = new Map<string, string>();
  /** Whether a checkpoint ends the process, as CRIU does by default. */
  endsTree = true;
  /** Told of each `checkpoint`, which is how the stop of an idle tenant begins. */
  onCheckpoint: (key: string) => void = () => {};
  /** Methods that a test uses in place of the driver's. */
  instead: Partial<CheckpointDriver> = {};
  #tenants: Tenants;

  constructor(tenants: Tenants) {
    this.#tenants = tenants;
  }

  readonly driver: CheckpointDriver = {
    checkpoint: (args) => {
      this.onCheckpoint(args.key);
      return this.#noted('checkpoint', args.key, () =>
        (this.instead.checkpoint ?? this.save)(args),
      );
    },
    restore: (args) =>
      this.#noted('restore', args.key, () => (this.instead.restore ?? this.bringBack)(args)),
    drop: (key) => this.#noted('drop', key, () => (this.instead.drop ?? this.remove)(key)),
    has: (key) => this.#noted('has', key, () => (this.instead.has ?? this.knows)(key)),
  };

  readonly save = async ({ key, pid }: { key: string; pid: number }): Promise<boolean> => {
    const port =
      readFileSync(`/proc/${pid}/environ`, 'latin1').match(/(?:^|\0)PORT=(\d+)/)?.[1] ?? '';
    this.images.set(key, port);
    if (this.endsTree) {
      for (const process of [{ pid }, ...descendantsOf(pid)]) kill(process.pid);
    }
    return true;
  };

  readonly bringBack = async ({ key }: { key: string }): Promise<{ pid: number }> => {
    const { pid } = this.start(key, [process.execPath, 'server.ts']);
    return { pid: pid ?? 0 };
  };

  readonly remove = async (key: string): Promise<void> => void this.images.delete(key);

  readonly knows = async (key: string): Promise<boolean> => this.images.has(key);

  /** A process in the tenant's directory, as the snapshot has it. */
  start(key: string, [command, ...args]: readonly [string, ...string[]]): ChildProcess {
    const env = { PATH: process.env.PATH, PORT: this.images.get(key), RESTORED: `image of ${key}` };
    const cwd = join(this.#tenants.root, key);
    const child = spawn(command, args, { cwd, env, detached: true, stdio: 'ignore' });
    child.unref();
    return child;
  }

  callsOf(method: keyof CheckpointDriver): string[] {
    return this.calls.filter((call) => call.startsWith(`${method} `));
  }

  #noted<T>(method: string, key: string, call: () => T): T {
    this.calls.push(`${method} ${key}`);
    return call();
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended with another one of the tree.
  }
}

export type SavingPool = ReturnType<typeof createSavingPool>;

export function createSavingPool({
  restoreTimeoutMs = 15_000,
  ...options
}: Partial<RuntimeOptions> & { restoreTimeoutMs?: number } = {}) {
  /** Keys that `shouldIdleKill` lets be stopped. */
  const idle = new Set<string>();
  let snapshots: Snapshots | undefined;
  const forward: CheckpointDriver = {
    checkpoint: (args) => snapshots!.driver.checkpoint(args),
    restore: (args) => snapshots!.driver.restore(args),
    drop: (key) => snapshots!.driver.drop(key),
    has: (key) => snapshots!.driver.has(key),
  };
  const pool = createPool({
    idleAfterMs: 1,
    sweepIntervalMs: 5,
    shouldIdleKill: ({ key }) => idle.has(key),
    checkpoint: { driver: forward, restoreTimeoutMs },
    ...options,
  });
  snapshots = new Snapshots(pool.tenants);
  const waiting = new Map<string, () => void>();
  snapshots.onCheckpoint = (key) => {
    idle.delete(key);
    waiting.get(key)?.();
  };
  return Object.assign(pool, {
    snapshots,

    add(...keys: string[]) {
      for (const key of keys) pool.tenants.add(key, { 'server.ts': SERVER });
    },

    /** Lets the key's tenant be idle; resolves when its stop has begun. */
    async becomesIdle(key: string): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.set(key, resolve);
      idle.add(key);
      await within(`${key} becomes idle`, promise);
    },

    /** Starts it, if need be, lets it be idle, and waits until it is gone. */
    async saved(key: string): Promise<{ pid: number; port: number }> {
      const { pid, port } = await within(`${key} is up`, pool.runtime.ensure(key));
      const exits = pool.events.of('exit', key).length;
      await this.becomesIdle(key);
      await pool.events.exit(key, exits + 1);
      return { pid, port };
    },

    /** Processes of this key that are alive now, wherever they come from. */
    processesOf: (key: string) => markedWith(join(pool.tenants.root, key)),
  });
}

/** The tenant's answer, over a connection that is closed afterwards. */
export const answerOf = async ({ port }: { port: number }) =>
  (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).text();
