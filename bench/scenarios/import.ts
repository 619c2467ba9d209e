// How much importing the package adds to the start of a program.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtFiles } from '../../scripts/lib/paths.mjs';
import { type Context, poolModule, type Scenario } from '../lib/scenario.ts';

const RUNS = 20;
const QUICK_RUNS = 8;
const WARM_UPS = 2;

export const importPackage: Scenario = {
  name: 'import',
  title: 'Import and first `createRuntime`',
  note:
    'Wall time of a whole program, from its start to its end by itself: one that imports the pool and calls ' +
    '`createRuntime` once. The floor is an empty one; what one that imports an empty module takes, and one that only loads ' +
    'the addon, says how much of the rest is not ours to save. This package loads half of itself when a runtime is first ' +
    'used: that is in the row of a program that goes on to `ensure` a tenant of an adapter, and ends without `dispose`.',
  metrics: [
    {
      id: 'totalMs',
      label: 'whole program',
      unit: 'ms',
      isCharted: true,
      goal: { text: '≤ empty script + 5 ms', limit: (of) => (of('floor') ?? NaN) + 5 },
    },
    { id: 'firstMs', label: '… and a first `ensure`', unit: 'ms' },
    { id: 'moduleMs', label: '… that imports an empty module', unit: 'ms' },
    { id: 'addonMs', label: '… that only loads the addon', unit: 'ms' },
  ],
  subjects: {
    floor: async (context) => ({
      totalMs: runs(context, ''),
      moduleMs: runs(context, "import './module.mjs';"),
      addonMs: runs(
        context,
        `process.dlopen({ exports: {} }, ${JSON.stringify(builtFiles().addon)});`,
      ),
    }),
    plain: async (context) => ({
      totalMs: runs(context, program('plain')),
      firstMs: runs(context, programWithTenant('plain')),
    }),
    ours: async (context) => ({
      totalMs: runs(context, program('ours')),
      firstMs: runs(context, programWithTenant('ours')),
    }),
  },
};

const program = (pool: 'plain' | 'ours') => `
import { createRuntime } from ${JSON.stringify(poolModule(pool))};
const runtime = createRuntime({ source: { kind: 'directory', root: '.' } });
if (runtime.stats().total !== 0) throw new Error('not a new pool');
`;

const programWithTenant = (pool: 'plain' | 'ours') => `
import { createRuntime } from ${JSON.stringify(poolModule(pool))};
const spawn = () => ({ pid: process.pid, exited: new Promise(() => {}), kill() {} });
const runtime = createRuntime({ source: { kind: 'directory', root: '.' }, spawn, readiness: () => true });
await runtime.ensure('a');
process.exit();
`;

function runs({ isQuick }: Context, source: string): number[] {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-bench-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'program.mjs');
  writeFileSync(file, source);
  writeFileSync(join(directory, 'module.mjs'), '');
  const times = Array.from({ length: WARM_UPS + (isQuick ? QUICK_RUNS : RUNS) }, () => {
    const startedAt = performance.now();
    const { status } = spawnSync(process.execPath, [file], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (status !== 0) throw new Error(`the program ended with exit code ${status}`);
    return performance.now() - startedAt;
  });
  return times.slice(WARM_UPS);
}
