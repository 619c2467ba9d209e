// A runtime with tenants of one kind, all of them ready, which can be asked, stopped, and left alone
// until they sleep.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRuntime, type SleepDepth } from '@absolutejs/runtime';
import { answersOk, COMMAND, firstOk, tenantVariables } from '../lib/tenants.ts';
import { type App, makeTenants } from './apps.ts';
import { zramBytes } from './trees.ts';

/** The guard of a tenant's own CPU time looks at ten seconds, of all tenants by turns. */
const PATIENCE_MS = 180_000;
const STARTS_AT_ONCE = 8;
/** Nobody falls asleep again while the others of its round are asked. */
const AFTER_MS = 1_000;

export interface Host {
  pids: () => number[];
  zramBefore: number;
  stopAll: () => Promise<void>;
  allAsleep: () => Promise<void>;
  /** From `ensure` to the answer, of each tenant in each round; `prepare` comes before a round. */
  waits: (rounds: number, prepare: () => Promise<void>) => Promise<number[]>;
}

/** Without a depth nobody sleeps. With `isPatient` they sleep as late as by default. */
export async function withTenants<T>(
  {
    app,
    count,
    depth,
    isPatient = false,
  }: { app: App; count: number; depth?: SleepDepth; isPatient?: boolean },
  work: (host: Host) => Promise<T>,
): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), 'bench-d-'));
  const zramBefore = zramBytes();
  const runtime = createRuntime({
    source: { kind: 'directory', root },
    command: COMMAND,
    env: tenantVariables(),
    idleAfterMs: 0,
    maxConcurrent: count,
    ...(!isPatient && { sweepIntervalMs: 1_000 }),
    ...(depth !== undefined && {
      sleep: {
        pageOutAfterMs: depth === 'frozen' ? 0 : AFTER_MS,
        ...(!isPatient && { afterMs: AFTER_MS, minAwakeMs: 0 }),
      },
    }),
  });
  try {
    const keys = makeTenants(root, app, count);
    for (let from = 0; from < count; from += STARTS_AT_ONCE) {
      const some = keys.slice(from, from + STARTS_AT_ONCE);
      await Promise.all(some.map(async (key) => firstOk((await runtime.ensure(key)).port)));
    }
    return await work({
      zramBefore,
      pids: () => runtime.list().flatMap(({ pid }) => pid ?? []),
      stopAll: async () => void (await Promise.all(keys.map(runtime.kill))),
      allAsleep: () => until(() => runtime.list().every((tenant) => tenant.depth === depth)),
      async waits(rounds, prepare) {
        const times: number[] = [];
        for (let round = 0; round < rounds; round += 1) {
          await prepare();
          for (const key of keys) {
            const from = performance.now();
            const { port } = await runtime.ensure(key);
            if (!(await answersOk(port))) throw new Error(`${key} has not answered with 200`);
            times.push(performance.now() - from);
          }
        }
        return times;
      },
    });
  } finally {
    await runtime.dispose();
    rmSync(root, { recursive: true, force: true });
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !holds(); await Bun.sleep(50)) {
    if (performance.now() > deadline) throw new Error('not all of them have fallen asleep');
  }
}
