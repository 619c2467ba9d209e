// What loads the servers: wrk and h2load, and the client of the benchmarks' own.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import type { LoopLag } from '../lib/probes.ts';
import { NotPossible } from '../lib/scenario.ts';
import { start } from './servers.ts';

const run = promisify(execFile);
const PACKAGES = { wrk: 'wrk', h2load: 'nghttp2-client' } as const;

/** As many requests as 16 connections can make one after the other. Resolves to their number. */
export async function keepBusy(port: number, seconds: number): Promise<number> {
  const args = ['-t1', '-c16', `-d${seconds}s`, `http://127.0.0.1:${port}/`];
  const { stdout } = await output('wrk', args);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk: ${stdout}`);
  return Number(/(\d+) requests in/.exec(stdout)?.[1]);
}

/** 1,000 requests a second. Resolves to the time that each took, in µs. */
export async function atRate(port: number, seconds: number): Promise<number[]> {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-bench-load-'));
  try {
    const log = join(directory, 'log');
    const rate = ['--h1', '-c10', '--rps=100', `-D${seconds}`];
    await output('h2load', [...rate, `--log-file=${log}`, `http://127.0.0.1:${port}/`]);
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    // When it was sent, its status, and how long it took.
    const rows = lines.map((line) => line.split('\t'));
    const failed = rows.find(([, status]) => status !== '200');
    if (failed) throw new Error(`h2load: a request ended with ${failed[1]}`);
    return rows.map((row) => Number(row[2]));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function output(program: keyof typeof PACKAGES, args: string[]) {
  try {
    return await run(program, args, { maxBuffer: 2 ** 24 });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    throw new NotPossible(`needs ${program}: apt-get install ${PACKAGES[program]}`);
  }
}

/** Does a job of client.ts. */
export async function client(job: string, port: number, count: number): Promise<any> {
  const file = new URL('client.ts', import.meta.url).pathname;
  const { stdout } = await run(process.execPath, [file, job, String(port), String(count)]);
  return JSON.parse(stdout);
}

/** Holds connections open while it is asked what that takes. */
export async function whileOpen<T>(
  job: 'idle' | 'idle-websockets',
  port: number,
  count: number,
  look: () => Promise<T>,
  security = 'plain',
): Promise<T> {
  const file = new URL('client.ts', import.meta.url).pathname;
  const child = start(process.execPath, [file, job, String(port), String(count), security]);
  for await (const chunk of child.stdout ?? []) {
    if (String(chunk).includes('open')) break;
  }
  try {
    const seen = await look();
    if (child.exitCode !== null) throw new Error(`${job}: the connections were closed too early`);
    return seen;
  } finally {
    child.kill('SIGKILL');
  }
}

/** Watches an event loop that has nothing to do, in a process of its own, while something goes on. */
export async function besideBareLoop<T>(goOn: () => Promise<T>): Promise<[T, LoopLag]> {
  const file = new URL('client.ts', import.meta.url).pathname;
  const child = start(process.execPath, [file, 'loop']);
  const said = createInterface({ input: child.stdout ?? Readable.from([]) })[
    Symbol.asyncIterator
  ]();
  // The first line says that it watches.
  await said.next();
  const result = await goOn();
  child.stdin?.end();
  const { value } = await said.next();
  return [result, JSON.parse(value ?? '')];
}
