// What the command costs whoever waits for it: `serve` until a cold tenant has answered, beside the
// same app started bare; `ps` with a thousand tenants, beside an engine that does nothing; and the
// weight of the dashboard's page. Whole processes, side by side in turn.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const ROUNDS = 11;
const TENANTS = 1000;
const root = join(import.meta.dir, '..', '..');
const program = join(root, 'bin', 'absolutejs-runtime.js');
const page = join(root, 'lib', 'dashboard', 'page');
const APP = 'Bun.serve({ port: process.env.PORT, fetch: () => new Response("hello") });';

/** Prints a table, and returns the exit code. */
export async function runCommand(): Promise<number> {
  const place = mkdtempSync(join(tmpdir(), 'bench-command-'));
  console.log(`load at start ${loadavg()[0]?.toFixed(1)}; medians of ${ROUNDS} rounds\n`);
  try {
    const goals = [...(await serveToFirstAnswer(place)), ...(await ps(place)), pageWeight()];
    for (const { what, value, isMet } of goals)
      console.log(`${isMet ? '✔' : '✘'} ${what}: ${value}`);
    return goals.every(({ isMet }) => isMet) ? 0 : 1;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

async function serveToFirstAnswer(place: string) {
  const tenants = join(place, 'one');
  addTenant(tenants, 'hello');
  const directory = join(tenants, 'hello');
  const control = join(place, 'one.sock');
  const serve = (port: number) => ['serve', tenants, '--port', `${port}`, '--control', control];
  const times = await sideBySide({
    bare: () => firstAnswer('bun', ['run', 'start'], directory),
    'nothing in node': () => wholeProcess('node', ['-e', '0']),
    'nothing in bun': () => wholeProcess('bun', ['-e', '0']),
    node: () => firstAnswer('node', (port) => [program, ...serve(port)], place),
    bun: () => firstAnswer('bun', (port) => [program, ...serve(port)], place),
  });
  return (['node', 'bun'] as const).map((engine) => {
    const own = times.bare + times[`nothing in ${engine}`];
    const over = times[engine] - own;
    return {
      what: `serve in ${engine} → first 200 of a cold tenant, over what engine and app take bare`,
      value: `${ms(over)} (${ms(times[engine])} beside ${ms(own)}; goal ≤ 150 ms)`,
      isMet: over <= 150,
    };
  });
}

/** From the start of a program until it has answered a request for the tenant. */
async function firstAnswer(
  engine: string,
  args: string[] | ((port: number) => string[]),
  cwd: string,
): Promise<number> {
  const port = await freePort();
  const startedAt = performance.now();
  const child = spawn(engine, typeof args === 'function' ? args(port) : args, {
    cwd,
    env: { ...process.env, PORT: `${port}` },
    stdio: 'ignore',
    detached: true,
  });
  while (!(await answers(port))) await Bun.sleep(1);
  const tookMs = performance.now() - startedAt;
  await ended(child, 'SIGTERM');
  return tookMs;
}

async function ps(place: string) {
  const tenants = join(place, 'many');
  for (let index = 0; index < TENANTS; index += 1) addTenant(tenants, `tenant-${index}`);
  const control = ['--control', join(place, 'many.sock')];
  const port = await freePort();
  const args = [program, 'serve', tenants, '--port', `${port}`, ...control];
  const host = spawn('bun', args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  await new Promise((resolve) => host.stdout.once('data', resolve));
  const times = await sideBySide({
    'nothing in node': () => wholeProcess('node', ['-e', '0']),
    node: () => wholeProcess('node', [program, 'ps', ...control]),
    'nothing in bun': () => wholeProcess('bun', ['-e', '0']),
    bun: () => wholeProcess('bun', [program, 'ps', ...control]),
  });
  await ended(host, 'SIGTERM');
  return (['node', 'bun'] as const).map((engine) => ({
    what: `ps of ${TENANTS} tenants in ${engine}, the whole process`,
    value: `${ms(times[engine])} (an empty one ${ms(times[`nothing in ${engine}`])}; goal ≤ 150 ms)`,
    isMet: times[engine] <= 150,
  }));
}

async function wholeProcess(engine: string, args: string[]): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(engine, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.resume();
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${engine} ${args.join(' ')} ended with ${code}`);
  return performance.now() - startedAt;
}

function pageWeight() {
  const files = readdirSync(page).filter((name) => !name.endsWith('.d.ts'));
  const sum = (pack: (content: Buffer) => Buffer) =>
    files.reduce((total, name) => total + pack(readFileSync(join(page, name))).length, 0) / 1000;
  const [gzip, brotli] = [sum((content) => gzipSync(content)), sum((c) => brotliCompressSync(c))];
  return {
    what: `the dashboard's page, all of its ${files.length} files`,
    value: `${gzip.toFixed(1)} KB by gzip, ${brotli.toFixed(1)} by brotli (goal ≤ 60 KB)`,
    isMet: gzip <= 60,
  };
}

/** The median of each, measured in turn, so that the machine's other work falls on all of them. */
async function sideBySide<Name extends string>(subjects: Record<Name, () => Promise<number>>) {
  const names = Object.keys(subjects) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Name,
    number[]
  >;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const name of names) times[name].push(await subjects[name]());
  }
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<
    Name,
    number
  >;
}

function addTenant(tenants: string, key: string): void {
  mkdirSync(join(tenants, key), { recursive: true });
  writeFileSync(join(tenants, key, 'package.json'), '{"scripts":{"start":"bun server.ts"}}');
  writeFileSync(join(tenants, key, 'server.ts'), APP);
}

function answers(port: number): Promise<boolean> {
  const headers = { host: `hello.localhost:${port}` };
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });

/** Ends a program and what it started in its group. */
function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const end = new Promise<void>((resolve) => child.once('close', () => resolve()));
  process.kill(-(child.pid ?? NaN), signal);
  return end;
}

const ms = (value: number) => `${value.toFixed(0)} ms`;
