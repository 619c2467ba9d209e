// Output: a million short lines, and one line that is longer than the limit.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { watchCpu, watchLoop, watchMemory } from '../lib/probes.ts';
import {
  atMost,
  bothPools,
  lagMetrics,
  type Context,
  type Sample,
  type Scenario,
} from '../lib/scenario.ts';
import {
  answersOk,
  COMMAND,
  firstOk,
  realTenants,
  tenantRoot,
  tenantVariables,
} from '../lib/tenants.ts';
import { freePort } from './cold.ts';

const LINES = 1_000_000;
const LINE_BYTES = 100;
const WARM_UP_LINES = 20_000;
const LONG_LINE_BYTES = 300_000_000;
const NS_PER_MS = 1e6;
const NEWLINE = 10;

const memory = {
  id: 'memoryMb',
  label: 'peak memory growth',
  unit: 'MB',
  goal: atMost(32, 'MB'),
} as const;

export const logLines: Scenario = {
  name: 'log-lines',
  title: '1,000,000 log lines of 100 bytes',
  note:
    'One tenant writes as fast as it can; `onLog` counts. CPU time is that of the host process; helpers are the ' +
    'processes that the pool started for itself. The floor reads the pipe and counts newlines. The tenant shares the ' +
    'two cores, so the lines a second say little about either.',
  metrics: [
    { id: 'cpuNs', label: 'host CPU a line', unit: 'ns', isCharted: true, goal: atMost(120, 'ns') },
    {
      id: 'javascriptNs',
      label: '… JavaScript thread',
      unit: 'ns',
      isCharted: true,
      goal: atMost(70, 'ns'),
    },
    { id: 'helpersNs', label: '… helper processes', unit: 'ns' },
    ...lagMetrics({ lagMs: 10 }),
    memory,
    { id: 'perSecond', label: 'lines a second', unit: '/s' },
  ],
  subjects: withFloor(manyLines),
};

export const longLine: Scenario = {
  name: 'long-line',
  title: 'One line of 300 MB',
  note:
    'One tenant writes 300 MB without a line ending; until `onLog` has had all of it, in however many pieces. ' +
    'The floor reads the pipe and looks for a newline. The plain pool is measured once: it takes minutes.',
  metrics: [
    {
      id: 'totalMs',
      label: 'all delivered',
      unit: 'ms',
      isCharted: true,
      goal: atMost(1_000, 'ms'),
    },
    ...lagMetrics(),
    memory,
  ],
  subjects: withFloor(oneLongLine),
  slow: ['plain'],
  maxRounds: 3,
  timeoutMs: 600_000,
};

/** A tenant that writes on request, and the output that has arrived. */
interface Writer {
  port: number;
  pid: number;
  /** Resolves once this many lines, counted from the start, have arrived. */
  lines: (count: number) => Promise<void>;
  bytes: (count: number) => Promise<void>;
  end: () => Promise<unknown>;
}

async function manyLines(writer: Writer): Promise<Sample> {
  await Promise.all([
    answersOk(writer.port, `/?lines=${WARM_UP_LINES}`),
    writer.lines(WARM_UP_LINES),
  ]);
  const [grown, loop, watched] = [watchMemory(), watchLoop(), watchCpu([writer.pid])];
  const startedAt = performance.now();
  const asked = answersOk(writer.port, `/?lines=${LINES}`);
  await writer.lines(WARM_UP_LINES + LINES);
  const durationMs = performance.now() - startedAt;
  const cpu = watched.used();
  const lag = loop.stop();
  const memoryMb = grown.growthMb();
  await asked;
  const aLine = (ms: number) => (ms * NS_PER_MS) / LINES;
  return {
    cpuNs: aLine(cpu.allMs),
    javascriptNs: aLine(cpu.javascriptMs),
    helpersNs: aLine(cpu.helpersMs),
    ...lag,
    memoryMb,
    perSecond: LINES / (durationMs / 1e3),
  };
}

async function oneLongLine(writer: Writer): Promise<Sample> {
  await Promise.all([
    answersOk(writer.port, `/?lines=${WARM_UP_LINES}`),
    writer.lines(WARM_UP_LINES),
  ]);
  const warmUpBytes = WARM_UP_LINES * (LINE_BYTES - 1);
  const [grown, loop] = [watchMemory(), watchLoop()];
  const startedAt = performance.now();
  void answersOk(writer.port, `/?bytes=${LONG_LINE_BYTES}`);
  await writer.bytes(warmUpBytes + LONG_LINE_BYTES);
  const totalMs = performance.now() - startedAt;
  return { totalMs, ...loop.stop(), memoryMb: grown.growthMb() };
}

function withFloor(measure: (writer: Writer) => Promise<Sample>) {
  const ended = async (writer: Writer) => {
    const sample = await measure(writer);
    await writer.end();
    return sample;
  };
  return {
    floor: async (_: Context) => ended(await bareWriter()),
    ...bothPools(async (createRuntime) => {
      const { root, keys } = tenantRoot(1);
      const counter = createCounter();
      const onLog = ({ line }: { line: string }) => counter.add(1, line.length);
      const runtime = createRuntime(realTenants(root, { onLog }));
      const { port, pid } = await runtime.ensure(keys[0] ?? '');
      return ended({ port, pid, ...counter.waits, end: runtime.dispose });
    }),
  };
}

async function bareWriter(): Promise<Writer> {
  const { root, keys } = tenantRoot(1);
  const port = await freePort();
  const env = { ...tenantVariables(), NODE_ENV: 'production', PORT: String(port) };
  const counter = createCounter();
  const cwd = `${root}/${keys[0]}`;
  const { pid, kill } = globalThis.Bun
    ? pipeOfBun(cwd, env, counter)
    : pipeOfNode(cwd, env, counter);
  await firstOk(port);
  return { port, pid, ...counter.waits, end: async () => kill() };
}

type Counter = ReturnType<typeof createCounter>;
type Pipe = { pid: number; kill: () => void };

function pipeOfBun(cwd: string, env: Record<string, string>, counter: Counter): Pipe {
  const child = Bun.spawn(COMMAND, { cwd, env, stdio: ['ignore', 'pipe', 'ignore'] });
  const read = async () => {
    for await (const chunk of child.stdout) countNewlines(chunk, counter);
  };
  void read();
  return { pid: child.pid, kill: () => child.kill('SIGKILL') };
}

function pipeOfNode(cwd: string, env: Record<string, string>, counter: Counter): Pipe {
  const child = spawn(COMMAND[0] ?? '', COMMAND.slice(1), {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  child.stdout.on('data', (chunk) => countNewlines(chunk, counter));
  void once(child, 'exit');
  return { pid: child.pid ?? 0, kill: () => void child.kill('SIGKILL') };
}

function countNewlines(chunk: Uint8Array, { add }: Counter): void {
  let lines = 0;
  for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) lines += 1;
  add(lines, chunk.length - lines);
}

function createCounter() {
  let lines = 0;
  let bytes = 0;
  let waiting = { lines: Infinity, bytes: Infinity, resolve: () => {} };
  const wait = (goal: { lines?: number; bytes?: number }) =>
    new Promise<void>((resolve) => {
      waiting = { lines: Infinity, bytes: Infinity, ...goal, resolve };
      add(0, 0);
    });
  function add(moreLines: number, moreBytes: number): void {
    lines += moreLines;
    bytes += moreBytes;
    if (lines >= waiting.lines || bytes >= waiting.bytes) waiting.resolve();
  }
  return {
    add,
    waits: {
      lines: (count: number) => wait({ lines: count }),
      bytes: (count: number) => wait({ bytes: count }),
    },
  };
}
