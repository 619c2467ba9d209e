// How long a host that was killed is missed: with a hundred tenants that outlive it, from the start of
// the next host until each has answered a request through its gateway. Beside it, in turn, what the
// engine takes for an empty program, for an empty module in a file, as a host is one, and for a host
// that nothing has outlived until it listens.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from '../lib/figures.ts';
import { freePort } from '../scenarios/cold.ts';

const ROUNDS = 11;
const TENANTS = 100;
const GOAL_MS = 50;
const APP =
  'Bun.serve({ hostname: "127.0.0.1", port: process.env.PORT, fetch: () => new Response("hello") });';
const program = join(import.meta.dir, 'host.mjs');
const keys = Array.from({ length: TENANTS }, (_, index) => `t${index}`);

/** Prints the figures, and returns the exit code. */
export async function runSurvival(): Promise<number> {
  const place = mkdtempSync(join(tmpdir(), 'bench-s-'));
  const root = join(place, 'tenants');
  for (const key of keys) {
    mkdirSync(join(root, key), { recursive: true });
    writeFileSync(join(root, key, 'app.js'), APP);
  }
  console.log(`load at start ${loadavg()[0]?.toFixed(1)}; medians of ${ROUNDS} rounds\n`);
  const isMet: boolean[] = [];
  try {
    for (const engine of ['node', 'bun'] as const) isMet.push(await measure(engine, place, root));
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
  return isMet.every(Boolean) ? 0 : 1;
}

async function measure(engine: 'node' | 'bun', place: string, root: string): Promise<boolean> {
  const env = { ...process.env, XDG_RUNTIME_DIR: place };
  const port = await freePort();
  const start = (survives: boolean, at: number) => {
    const given = { root, port: at, ...(survives && { name: `bench-${engine}` }) };
    return spawn(engine, [program, JSON.stringify(given)], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  };
  let host = start(true, port);
  await listening(host);
  await Promise.all(keys.map((key) => answered(port, key)));
  const emptyModule = join(place, 'empty.mjs');
  writeFileSync(emptyModule, '');
  const run = (...args: string[]) => ended(spawn(engine, args, { stdio: 'ignore' }));
  const times: Record<'empty' | 'module' | 'alone' | 'back', number[]> = {
    empty: [],
    module: [],
    alone: [],
    back: [],
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    times.empty.push(await timed(() => run('-e', '0')));
    times.module.push(await timed(() => run(emptyModule)));
    const otherPort = await freePort();
    let other: ChildProcess | undefined;
    times.alone.push(await timed(() => listening((other = start(false, otherPort)))));
    await ended(other!, 'SIGKILL');
    await ended(host, 'SIGKILL');
    times.back.push(
      await timed(() => {
        host = start(true, port);
        // They wait in the backlog of the socket that was kept.
        return Promise.all(keys.map((key) => answered(port, key)));
      }),
    );
  }
  await ended(host, 'SIGTERM');
  const [empty, module, alone, back] = (['empty', 'module', 'alone', 'back'] as const).map((name) =>
    median(times[name]),
  ) as [number, number, number, number];
  const over = back - empty;
  console.log(
    `${over <= GOAL_MS ? '✔' : '✘'} a killed host in ${engine}, ${TENANTS} tenants, until all are served again: ` +
      `${back.toFixed(0)} ms, ${over.toFixed(0)} more than an empty program (${empty.toFixed(0)} ms; goal ≤ ${GOAL_MS}), ` +
      `${(back - module).toFixed(0)} more than an empty module (${module.toFixed(0)} ms), ` +
      `${(back - alone).toFixed(0)} more than a host without tenants until it listens (${alone.toFixed(0)} ms)`,
  );
  return over <= GOAL_MS;
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await act();
  return performance.now() - from;
}

const listening = (host: ChildProcess) =>
  new Promise((resolve, reject) => {
    host.stdout!.once('data', resolve);
    host.once('exit', (code) => reject(new Error(`the host ended with ${code}`)));
  });

function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<unknown> {
  const over = new Promise((resolve) => child.once('close', resolve));
  if (signal !== undefined) child.kill(signal);
  return over;
}

/** Resolves when the tenant has answered through the gateway. */
function answered(port: number, key: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () =>
      socket.write(`GET / HTTP/1.1\r\nhost: ${key}.localhost\r\nconnection: close\r\n\r\n`),
    );
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      if (text.startsWith('HTTP/1.1 200')) resolve();
      else reject(new Error(text.slice(0, 200)));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('end', () => reject(new Error(`${key} was not answered`)));
  });
}
