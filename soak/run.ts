/**
 * The soak: one host that runs all the time and is measured, and beside it short-lived hosts whose
 * wardens and keepers are killed and stopped, and that end in every way. See
 * `npm run soak -- --help`.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSoakArguments } from './arguments.mjs';
import { keysOf, kinds } from './host/kinds.mjs';
import { becomeSubreaper, killAll, orphans, shown, untilNone } from './processes.ts';
import { print } from './report.ts';
import { roughHosts } from './rough.ts';
import { calmHost, type Run, steadyHost } from './steady.ts';
import { tracesOf, untilNothing } from './traces.ts';

/** Writes the directories of all tenants. */
function makeTenants(root: string): void {
  for (const kind of kinds) {
    if (kind.absent) continue;
    for (const key of keysOf(kind)) {
      mkdirSync(join(root, key), { recursive: true });
      const { start = 'bun server.ts', ...files } = kind.files ?? {};
      for (const [name, text] of Object.entries(files)) writeFileSync(join(root, key, name), text);
      if (kind.files)
        writeFileSync(join(root, key, 'package.json'), JSON.stringify({ scripts: { start } }));
    }
  }
}

/** Puts the compiled tenant where users of tenants may execute it; returns where that is. */
function placeTenant(root: string, compiled: string): string {
  chmodSync(root, 0o755);
  const directory = join(root, '.compiled');
  mkdirSync(directory);
  const placed = join(directory, 'tenant');
  copyFileSync(compiled, placed);
  return placed;
}

async function main(): Promise<number> {
  const args = readSoakArguments();
  const compiled = process.env.SOAK_TENANT;
  if (!compiled)
    throw new Error(
      'SOAK_TENANT must name the compiled tenant; `npm run soak` builds it and says where',
    );
  becomeSubreaper();
  const root = mkdtempSync(join(tmpdir(), 'runtime-soak-'));
  makeTenants(root);
  const tenant = placeTenant(root, compiled);
  const violations: string[] = [];
  const found = Promise.withResolvers<void>();
  const interrupted = Promise.withResolvers<number>();
  const run: Run = {
    ...args,
    startedAt: performance.now(),
    place: { tenant, root, run: root },
    children: new Set(),
    hosts: [],
    violation(text) {
      violations.push(text);
      found.resolve();
      // The first few are enough; the report counts all.
      if (violations.length <= MAX_TOLD) console.log(`✘ ${text}`);
    },
    isOver: false,
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      console.log(`✘ called off by ${signal}`);
      found.resolve();
      interrupted.resolve(1);
    });
  }
  console.log(`› soak: seed ${args.seed}, hosts in ${args.engine}, tenants in ${root}`);
  try {
    const soaked = soak(run, violations);
    if (!args['until-found']) return await Promise.race([soaked, interrupted.promise]);
    const exitCode = await Promise.race([soaked, found.promise]);
    const starts = run.hosts.reduce((sum, host) => sum + host.figures.starts, 0);
    console.log(
      violations.length > 0
        ? `found in ${starts} starts: ${violations[0]}`
        : `nothing in ${starts} starts`,
    );
    return exitCode ?? 1;
  } finally {
    await endEverything(run);
    rmSync(root, { recursive: true, force: true });
  }
}

async function soak(run: Run, violations: string[]): Promise<number> {
  const steadily = steadyHost(run).finally(() => (run.isOver = true));
  const [steady, roughly] = await Promise.all([steadily, roughHosts(run)]);
  await calmHost(run);
  for (const { pid } of run.hosts) {
    const traces = await untilNothing(() => tracesOf(pid), CLEARED_MS);
    if (traces) run.violation(`left of host ${pid} after the next one: ${traces}`);
  }
  const left = orphans(run.children);
  if (left.length > 0) run.violation(`left in the end: ${shown(left)}`);
  return print({ run, steady, rough: roughly, violations });
}

/** Kills every process of the run. */
async function endEverything(run: Run): Promise<void> {
  run.isOver = true;
  const left = run.hosts.filter((host) => !host.hasEnded);
  left.forEach((host) => host.kill('SIGKILL'));
  await Promise.all(left.map((host) => host.ended));
  await untilNone(() => killAll(orphans(new Set())), ENDING_MS);
}

const MAX_TOLD = 10;
const ENDING_MS = 10_000;
/** How long the next host has to remove what others have left. */
const CLEARED_MS = 10_000;

try {
  process.exit(await main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
