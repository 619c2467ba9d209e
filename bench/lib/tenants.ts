// The tenants of the benchmarks: a minimal Bun server, sleeping processes, and processes in
// memory.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RuntimeOptions, RuntimeProcess, SpawnFn } from '@absolutejs/runtime';
import { NotPossible } from './scenario.ts';

const PROBE_INTERVAL_MS = 1;
/** How many pids are left free when thousands of processes are started. */
const SPARE_PIDS = 2_000;

/**
 * Answers 200, and writes `?lines=` lines of 100 bytes, or one line of `?bytes=`, when asked to.
 */
const APP = `
import { writeSync } from 'node:fs';
function write(bytes) {
  for (let from = 0; from < bytes.length; ) {
    try {
      from += writeSync(1, bytes, from);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  fetch(request) {
    const query = request.url.slice(request.url.indexOf('?') + 1);
    const asked = Number(query.split('=')[1]);
    if (query.startsWith('lines=')) {
      const block = Buffer.from(('x'.repeat(99) + '\\n').repeat(1000));
      for (let lines = 0; lines < asked; lines += 1000) write(block);
    } else if (query.startsWith('bytes=')) {
      const block = Buffer.alloc(1_000_000, 'x');
      for (let bytes = 0; bytes < asked; bytes += block.length) write(block);
      write(Buffer.from('\\n'));
    }
    return new Response('ok');
  },
});
`;

export const COMMAND = ['bun', 'app.js'];

/**
 * The environment of every subject's tenants: the variables that this process was started with.
 */
export function tenantVariables(): Record<string, string> {
  const names = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'USER', 'SHELL'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
}

/** A new directory with `count` tenants: `t0`, `t1`, … Removed when this process ends. */
export function tenantRoot(count: number): { root: string; keys: string[] } {
  const root = mkdtempSync(join(tmpdir(), 'runtime-bench-'));
  process.on('exit', () => rmSync(root, { recursive: true, force: true }));
  const keys = Array.from({ length: count }, (_, index) => `t${index}`);
  for (const key of keys) {
    mkdirSync(join(root, key));
    writeFileSync(join(root, key, 'app.js'), APP);
  }
  return { root, keys };
}

/** Options for real tenants: the same for every pool. */
export function realTenants(root: string, more: Partial<RuntimeOptions> = {}): RuntimeOptions {
  const source = { kind: 'directory' as const, root };
  return { source, command: COMMAND, env: tenantVariables(), onLog: () => {}, ...more };
}

/** Resolves once the port answers 200, asking again a millisecond after each failure. */
export async function firstOk(port: number): Promise<void> {
  while (!(await answersOk(port))) await delay(PROBE_INTERVAL_MS);
}

/** Whether a request is answered with 200. Uses a bare socket, the cheapest client there is. */
export function answersOk(port: number, path = '/'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n`),
    );
    socket.on('data', (bytes) => {
      resolve(bytes.toString('latin1').startsWith('HTTP/1.1 200'));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

/** Options with processes that exist only as objects: what is measured is the pool's own work. */
export function pretendedTenants(more: Partial<RuntimeOptions> = {}): RuntimeOptions {
  return {
    source: { kind: 'directory', root: tmpdir() },
    idleAfterMs: 0,
    maxConcurrent: Infinity,
    spawn: async () => pretendedProcess(),
    readiness: async () => true,
    onLog: () => {},
    ...more,
  };
}

export function pretendedProcess(pid = process.pid): RuntimeProcess {
  let end: (exitCode: null) => void;
  const exited = new Promise<null>((resolve) => (end = resolve));
  return { pid, port: 1_024, exited, kill: () => end(null) };
}

interface Sleepers {
  pids: number[];
  /** Ends them. Resolves when all are gone: until then they are a load on the machine. */
  stop: () => Promise<void>;
}

/**
 * `count` real processes that sleep: forks of a small shell, each blocked in a read. They end with
 * this process.
 *
 * @throws {NotPossible} when the machine has no room for so many
 */
export async function startSleepers(count: number): Promise<Sleepers> {
  const inUse = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length;
  const mostPids = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
  if (inUse + count + SPARE_PIDS > mostPids) {
    throw new NotPossible(
      `pid_max is ${mostPids}, too few for ${count} processes more than the ${inUse} there`,
    );
  }
  const script = `exec 3<&0; i=0; while [ $i -lt ${count} ]; do (read -r _ <&3) & echo $!; i=$((i+1)); done; wait`;
  const shell = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const pids = await readPids(shell, count);
  const ended = new Promise<void>((resolve) => shell.on('exit', () => resolve()));
  const stop = () => {
    shell.stdin?.end();
    return ended;
  };
  return { pids, stop };
}

async function readPids(shell: ChildProcess, count: number): Promise<number[]> {
  let text = '';
  for await (const chunk of shell.stdout ?? []) {
    text += chunk;
    const pids = text.trimEnd().split('\n');
    if (pids.length === count && text.endsWith('\n')) return pids.map(Number);
  }
  throw new NotPossible(
    `only ${text.split('\n').length - 1} of ${count} processes could be started`,
  );
}

/** A `spawn` that returns running processes, one after the other. */
export function handOut(pids: readonly number[]): SpawnFn {
  let next = 0;
  return async () => pretendedProcess(pids[next++]);
}
