// What the package adds to the start of a program.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Context, poolModule, type Sample, type Scenario } from '../lib/scenario.ts';

const RUNS = 20;
const QUICK_RUNS = 8;
const WARM_UPS = 2;

export const importPackage: Scenario = {
  name: 'import',
  title: 'Import and first `createRuntime`',
  note:
    'Wall time of a whole program, from its start to its end by itself: one that imports the pool and calls ' +
    '`createRuntime` once. The floor is an empty one.',
  metrics: [
    {
      id: 'totalMs',
      label: 'whole program',
      unit: 'ms',
      isCharted: true,
      goal: { text: '≤ empty script + 5 ms', limit: (of) => (of('floor') ?? NaN) + 5 },
    },
  ],
  subjects: {
    floor: async (context) => runs(context, ''),
    plain: async (context) => runs(context, program('plain')),
    ours: async (context) => runs(context, program('ours')),
  },
};

const program = (pool: 'plain' | 'ours') => `
import { createRuntime } from ${JSON.stringify(poolModule(pool))};
const runtime = createRuntime({ source: { kind: 'directory', root: '.' } });
if (runtime.stats().total !== 0) throw new Error('not a new pool');
`;

function runs({ isQuick }: Context, source: string): Sample {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-bench-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'program.mjs');
  writeFileSync(file, source);
  const times = Array.from({ length: WARM_UPS + (isQuick ? QUICK_RUNS : RUNS) }, () => {
    const startedAt = performance.now();
    const { status } = spawnSync(process.execPath, [file], { stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) throw new Error(`the program ended with exit code ${status}`);
    return performance.now() - startedAt;
  });
  return { totalMs: times.slice(WARM_UPS) };
}
