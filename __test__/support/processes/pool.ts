/** A runtime with tenants of its own, whose events are recorded, disposed after the test. */
import { createRuntime, type RuntimeOptions, type Tenant } from '@absolutejs/runtime';
import { Recorder } from './recorder.ts';
import { addShapes, isComplete, keyOf, type ShapeName, shapeNames } from './shapes.ts';
import {
  assertGone,
  descendantsOf,
  isThere,
  keeperOf,
  type Process,
  processOf,
  shown,
} from './table.ts';
import { Tenants } from './tenants.ts';
import { until, within } from './until.ts';

export type Pool = ReturnType<typeof createPool>;

export function createPool(options: Partial<RuntimeOptions> = {}) {
  const tenants = new Tenants();
  const events = new Recorder();
  const runtime = createRuntime({ source: tenants.source, ...events.callbacks, ...options });
  return {
    tenants,
    events,
    runtime,

    /** Disposes the runtime, and checks what must hold afterwards in any test. */
    async dispose(): Promise<void> {
      await within('dispose', runtime.dispose());
      assertGone('after dispose', tenants.processes());
      events.assertOrder();
    },

    async [Symbol.asyncDispose](): Promise<void> {
      await using _ = tenants;
      await within('dispose', runtime.dispose());
    },
  };
}

/**
 * The processes of a running tenant: its first one, everything below it, and what was orphaned;
 * its keeper too.
 */
export function treeOf(pid: number): Process[] {
  const keeper = keeperOf(pid);
  return keeper ? [keeper, ...descendantsOf(keeper.pid)] : [];
}

/** The same, once all processes of the shape run. The tenant is touched meanwhile. */
export const completeTreeOf = (pool: Pool, { key, pid }: Pick<Tenant, 'key' | 'pid'>) =>
  until(`all of ${key} is up`, () => {
    pool.runtime.touch(key);
    const tree = treeOf(pid);
    return isComplete(key, tree) && processOf(pid) !== undefined && tree;
  });

export type Trees = Map<Tenant, Process[]>;

/** Starts a tenant of every shape and waits until all their processes are there. */
export async function startShapes(
  pool: Pool,
  names: readonly ShapeName[] = shapeNames,
): Promise<Trees> {
  addShapes(pool.tenants, names);
  const tenants = await Promise.all(names.map((name) => pool.runtime.ensure(keyOf(name))));
  const trees = tenants.map(
    async (tenant) => [tenant, await completeTreeOf(pool, tenant)] as const,
  );
  return new Map(await Promise.all(trees));
}

/** Collects processes of the trees that are still there at their exit event: must stay empty. */
export function watchExits(pool: Pool, trees: Map<{ pid: number }, Process[]>): string[] {
  const problems: string[] = [];
  for (const [{ pid }, tree] of trees) {
    pool.events.once(
      (event) => 'type' in event && event.type === 'exit' && event.pid === pid,
      () => {
        const left = tree.filter(isThere);
        if (left.length > 0) problems.push(`when the exit of ${pid} was told: ${shown(left)}`);
      },
    );
  }
  return problems;
}

export const textOf = async ({ port }: Pick<Tenant, 'port'>, path = '/') =>
  (await fetch(`http://127.0.0.1:${port}${path}`)).text();
