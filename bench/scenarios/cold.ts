// A cold start, one tenant after the other: from the call to the first answer.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { watchLoop } from '../lib/probes.ts';
import {
  bothPools,
  type Context,
  type CreateRuntime,
  lagMetrics,
  loadPool,
  type Sample,
  type Scenario,
} from '../lib/scenario.ts';
import { COMMAND, firstOk, realTenants, tenantRoot, tenantVariables } from '../lib/tenants.ts';

const WARM_UPS = 2;
const STARTS = 20;
const QUICK_STARTS = 8;
const LARGE_HEAP_BYTES = 4 * 2 ** 30;
const HEAP_BLOCK_BYTES = 64 * 2 ** 20;

interface Start {
  /** Time until the pool reported the tenant ready. */
  readyMs: number;
  firstOkMs: number;
}

const byPool = (createRuntime: CreateRuntime, context: Context) =>
  coldStarts(context, pool(createRuntime));

export const coldEnsure: Scenario = {
  name: 'cold-ensure',
  title: 'Cold `ensure` → first 200',
  note:
    'A tenant that is not running is asked for, then asked for a page; one after the other, each a new process. ' +
    'The floor spawns the same command with the same environment and asks every millisecond until it answers 200.',
  metrics: [
    {
      id: 'firstOkMs',
      label: 'until the first 200',
      unit: 'ms',
      isCharted: true,
      goal: { text: '≤ floor × 1.10 + 1 ms', limit: (of) => plus((of('floor') ?? NaN) * 1.1, 1) },
    },
    { id: 'readyMs', label: 'until `ensure` resolves', unit: 'ms' },
    ...lagMetrics(),
  ],
  subjects: { floor: (context) => coldStarts(context, bareSpawn), ...bothPools(byPool) },
};

export const coldEnsureLargeHost: Scenario = {
  name: 'cold-ensure-large-host',
  title: 'The same, host with 4 GB touched',
  note:
    'As above, from a host that has written to every page of 4 GB. What the host had to start for itself ' +
    'is started with the first tenant, with the heap there, and counts. The small host is measured in the same rounds.',
  metrics: [
    {
      id: 'firstOkMs',
      label: 'until the first 200',
      unit: 'ms',
      isCharted: true,
      goal: {
        text: '≤ 1.10 × small host',
        limit: (of) => plus((of('ours-small-host') ?? NaN) * 1.1, 0),
      },
    },
    ...lagMetrics({ heldMs: 2 }),
  ],
  subjects: {
    floor: (context) => withLargeHeap(() => coldStarts(context, bareSpawn)),
    ...bothPools((createRuntime, context) => withLargeHeap(() => byPool(createRuntime, context))),
    'ours-small-host': async (context) => byPool(await loadPool('ours'), context),
  },
};

const plus = (value: number, more: number) => (Number.isFinite(value) ? value + more : undefined);

async function withLargeHeap(measure: () => Promise<Sample>): Promise<Sample> {
  const blocks = Array.from({ length: LARGE_HEAP_BYTES / HEAP_BLOCK_BYTES }, () =>
    new Uint8Array(HEAP_BLOCK_BYTES).fill(1),
  );
  const sample = await measure();
  if (blocks.some((block) => block[0] !== 1)) throw new Error('the heap was not kept');
  return sample;
}

/** Starts tenants and stops each once it has answered. */
interface Starter {
  start: (key: string) => Promise<Start>;
  stop: (key: string) => Promise<unknown>;
  end: () => Promise<unknown>;
}

async function coldStarts({ isQuick }: Context, open: (root: string) => Starter): Promise<Sample> {
  const { root, keys } = tenantRoot(WARM_UPS + (isQuick ? QUICK_STARTS : STARTS));
  const starter = open(root);
  const starts: Start[] = [];
  await warmUpClient();
  const loop = watchLoop();
  for (const key of keys) {
    starts.push(await starter.start(key));
    await starter.stop(key);
  }
  const lag = loop.stop();
  await starter.end();
  const measured = starts.slice(WARM_UPS);
  return {
    firstOkMs: measured.map(({ firstOkMs }) => firstOkMs),
    readyMs: measured.map(({ readyMs }) => readyMs),
    ...lag,
  };
}

function pool(createRuntime: CreateRuntime): (root: string) => Starter {
  return (root) => {
    const runtime = createRuntime(realTenants(root));
    return {
      start: (key) =>
        timed(async () => {
          const { port } = await runtime.ensure(key);
          return port;
        }),
      stop: runtime.kill,
      end: runtime.dispose,
    };
  };
}

function bareSpawn(root: string): Starter {
  let exited: Promise<void> | undefined;
  let kill = () => {};
  return {
    async start(key) {
      const port = await freePort();
      return timed(async () => {
        const env = { ...tenantVariables(), NODE_ENV: 'production', PORT: String(port) };
        const child = spawnBare(`${root}/${key}`, env);
        ({ exited, kill } = child);
        await firstOk(port);
        return port;
      });
    },
    async stop() {
      kill();
      await exited;
    },
    async end() {},
  };
}

export interface BareChild {
  exited: Promise<void>;
  kill: () => void;
}

/** The cheapest spawn that the engine offers. */
export function spawnBare(cwd: string, env: Record<string, string>): BareChild {
  const [program = '', ...args] = COMMAND;
  if (globalThis.Bun) {
    const child = Bun.spawn(COMMAND, { cwd, env, stdio: ['ignore', 'ignore', 'ignore'] });
    return { exited: child.exited.then(() => {}), kill: () => child.kill('SIGKILL') };
  }
  const child = spawn(program, args, { cwd, env, stdio: 'ignore' });
  const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  return { exited, kill: () => void child.kill('SIGKILL') };
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port ?? 0;
}

/** Different ports that are free now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/**
 * Uses the benchmark's own client once: its first use is slow, and would count as the pool's lag.
 */
async function warmUpClient(): Promise<void> {
  const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n')).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  for (let times = 0; times < 20; times += 1) await firstOk((server.address() as AddressInfo).port);
  server.close();
}

async function timed(start: () => Promise<number>): Promise<Start> {
  const startedAt = performance.now();
  const port = await start();
  const readyMs = performance.now() - startedAt;
  await firstOk(port);
  return { readyMs, firstOkMs: performance.now() - startedAt };
}
