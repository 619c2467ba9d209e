// Runs one measurement in a process of its own, and ends all that is left of it.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bun, localBin, root } from '../../scripts/lib/paths.mjs';
import type { Sample } from './scenario.ts';

const WORKER = fileURLToPath(new URL('../worker.ts', import.meta.url));
const TIMEOUT_MS = 120_000;
/**
 * The variables that measured processes, and so their tenants, get from this one's environment.
 */
const VARIABLES = ['HOME', 'LANG', 'TZ', 'TMPDIR', 'USER', 'SHELL'];

export interface Job {
  scenario: string;
  subject: string;
  isQuick: boolean;
  /** A bundle of the worker, to be run in Node instead of Bun. */
  nodeWorker?: string | undefined;
  /** The checkout whose package is measured, if it is not this one. */
  packageRoot?: string | undefined;
  timeoutMs?: number | undefined;
}

/** The result of a measurement; `problem` says why it failed. */
export type Result = { sample: Sample } | { problem: string };

const running = new Set<ChildProcess>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(1);
  });
}

export async function runWorker(job: Job): Promise<Result> {
  const { scenario, subject, isQuick, nodeWorker, packageRoot, timeoutMs = TIMEOUT_MS } = job;
  const program = nodeWorker ? ['node', '--expose-gc', nodeWorker] : [bun, WORKER];
  const [command = '', ...args] = [...program, scenario, subject, ...(isQuick ? ['quick'] : [])];
  // In a process group of its own, so that processes left behind by a pool can be ended.
  const child = spawn(command, args, {
    detached: true,
    env: workerEnvironment(packageRoot),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    killGroup(child);
  }, timeoutMs);
  try {
    const [output, errors, code] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      exit(child),
    ]);
    if (isLate) return { problem: `took longer than ${timeoutMs / 1e3} s` };
    return resultOf(output) ?? { problem: `${code}: ${reasonIn(errors)}` };
  } finally {
    clearTimeout(timer);
    killGroup(child);
    running.delete(child);
  }
}

/** Bundles the worker for Node, which may be too old for TypeScript. */
export async function bundleForNode(): Promise<string> {
  const outdir = mkdtempSync(join(tmpdir(), 'runtime-bench-node-'));
  process.on('exit', () => rmSync(outdir, { recursive: true, force: true }));
  const { outputs } = await Bun.build({
    entrypoints: [WORKER],
    outdir,
    target: 'node',
    naming: '[name].mjs',
  });
  return outputs[0]?.path ?? '';
}

function workerEnvironment(packageRoot = root): Record<string, string> {
  const kept = VARIABLES.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []));
  const path = process.env.PATH?.startsWith(localBin)
    ? process.env.PATH
    : `${localBin}:${process.env.PATH}`;
  const bench = {
    BENCH_ROOT: pathToFileURL(root).href,
    BENCH_PACKAGE: pathToFileURL(`${packageRoot}/`).href,
  };
  return { ...Object.fromEntries(kept), PATH: path, ...bench };
}

function resultOf(output: string): Result | undefined {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) return undefined;
  const result = JSON.parse(line);
  return 'notPossible' in result ? { problem: result.notPossible } : result;
}

/** The line with the error's message, without the source and the stack around it. */
function reasonIn(errors: string): string {
  const lines = errors.trim().split('\n');
  return lines.find((line) => /^(?:\w*Error|error)\b/.test(line)) ?? lines.at(-1) ?? '';
}

async function text(stream: NodeJS.ReadableStream | null): Promise<string> {
  let all = '';
  for await (const chunk of stream ?? []) all += chunk;
  return all;
}

function exit(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid) process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is empty.
  }
}
