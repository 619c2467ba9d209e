/** A tenant that tries what it is asked to: its files, and how a test asks it. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { RuntimeOptions } from '@absolutejs/runtime';
import { createPool, type Pool } from '../processes/index.ts';
import type { Ask, AttemptName, Attempts, Outcome } from './attacker/server.ts';

export type { AttemptName, Attempts, Outcome };

/** Tenants run this instead of a `start` script, and so are one process. */
export const COMMAND = ['bun', 'server.ts'];

export const putProgram = (directory: string) =>
  cpSync(join(import.meta.dir, 'attacker'), directory, { recursive: true });

/** @throws when the tenant ends before it has answered */
export async function ask(port: number, { attempt, args, isChilds }: Ask): Promise<Outcome> {
  const body = JSON.stringify({ attempt, args, isChilds });
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body });
  return response.json() as Promise<Outcome>;
}

/** A pool in this process whose tenants are asked by their keys. */
export function createHostilePool(keys: readonly string[], options: Partial<RuntimeOptions>) {
  const pool: Pool = createPool({
    command: COMMAND,
    idleAfterMs: 0,
    stopTimeoutMs: 500,
    ...options,
  });
  for (const key of keys) putProgram(join(pool.tenants.root, key));
  return Object.assign(pool, {
    async try<A extends AttemptName>(key: string, attempt: A, ...args: Parameters<Attempts[A]>) {
      const { port } = await pool.runtime.ensure(key);
      return ask(port, { attempt, args });
    },
  });
}
