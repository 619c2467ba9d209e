// What a request through the gateway costs, beside nginx and no proxy at all. In each round every
// subject has servers of its own, fresh ones.
import { watchCpu } from '../lib/probes.ts';
import {
  atMost,
  type Columns,
  type Context,
  type Goal,
  type Measure,
  type Sample,
  type Scenario,
} from '../lib/scenario.ts';
import { atRate, client, keepBusy, whileOpen } from './load.ts';
import {
  bunServer,
  certificate,
  type Front,
  helloServer,
  type Server,
  throughGateway,
  throughNginx,
} from './servers.ts';

export const FRONTS: Columns = { direct: 'no gateway', nginx: 'nginx', ours: 'this package' };
export const group = 'gateway';
const WARM_UP_SECONDS = 1;

/** At most as many times what nginx takes. */
const timesNginx = (factor: number): Goal => ({
  text: `≤ ${factor.toFixed(2)} × nginx`,
  limit: (of) => {
    const nginx = of('nginx');
    return nginx === undefined ? undefined : nginx * factor;
  },
});

/** At most as many times what nginx adds to no proxy. */
const timesAddedByNginx = (factor: number): Goal => ({
  text: `adds ≤ ${factor} × nginx`,
  limit: (of) => {
    const [direct, nginx] = [of('direct'), of('nginx')];
    if (direct === undefined || nginx === undefined) return undefined;
    return direct + factor * (nginx - direct);
  },
});

const direct: Front = async (behind) => behind;

/** One measurement of each front, before the same server. */
function fronts(
  behind: () => Promise<Server>,
  measure: (front: Server, context: Context, behind: Server) => Promise<Sample>,
  chosen: Record<string, Front> = { direct, nginx: throughNginx(), ours: throughGateway() },
): Record<string, Measure> {
  const subject = (front: Front) => async (context: Context) => {
    const server = await behind();
    return measure(await front(server), context, server);
  };
  return Object.fromEntries(Object.entries(chosen).map(([name, it]) => [name, subject(it)]));
}

const keepAlive: Scenario = {
  name: 'gateway-keep-alive',
  title: 'Requests through the gateway',
  note:
    '16 connections of wrk, each sending its next request when the last was answered with 13 bytes, by nginx as the tenant. ' +
    'CPU time is that of the process in between: of nginx with one worker, of the whole host.',
  columns: FRONTS,
  group,
  metrics: [
    { id: 'cpuUs', label: 'CPU time a request', unit: 'µs', goal: timesNginx(1.1) },
    { id: 'eachUs', label: 'wall time a request, 16 at once', unit: 'µs' },
  ],
  subjects: fronts(helloServer, async (front, { isQuick }, behind) => {
    const seconds = isQuick ? 2 : 8;
    await keepBusy(front.port, WARM_UP_SECONDS);
    const before = front.cpuUs();
    const requests = await keepBusy(front.port, seconds);
    const eachUs = (seconds * 1e6) / requests;
    const sample: Sample = { eachUs };
    if (front !== behind) sample.cpuUs = (front.cpuUs() - before) / requests;
    return sample;
  }),
};

const steady: Scenario = {
  name: 'gateway-latency',
  title: '1,000 requests a second through it',
  note: 'Ten connections of h2load at 100 requests a second each; the time from request to answer.',
  columns: FRONTS,
  group,
  metrics: [
    { id: 'p50Us', label: 'p50', unit: 'µs', goal: timesAddedByNginx(1.2) },
    { id: 'p99Us', label: 'p99', unit: 'µs', goal: timesAddedByNginx(1.2) },
  ],
  subjects: fronts(helloServer, async (front, { isQuick }) => {
    await atRate(front.port, WARM_UP_SECONDS);
    const sorted = (await atRate(front.port, isQuick ? 2 : 10)).sort((a, b) => a - b);
    const at = (fraction: number) => sorted[Math.floor(sorted.length * fraction)] ?? NaN;
    return { p50Us: at(0.5), p99Us: at(0.99) };
  }),
};

const javascript: Scenario = {
  name: 'gateway-javascript',
  title: "JavaScript's share of a request",
  note:
    'As the first, with and without `onAccess`: CPU time of the JavaScript thread. What it takes in the same time without ' +
    'requests is subtracted.',
  columns: FRONTS,
  group,
  metrics: [
    { id: 'noneUs', label: 'without `onAccess`', unit: 'µs', goal: atMost(0.01, 'µs') },
    { id: 'accessUs', label: 'with `onAccess`', unit: 'µs', goal: atMost(1, 'µs') },
  ],
  subjects: {
    ours: async ({ isQuick }) => {
      const behind = await helloServer();
      let events = 0;
      const seconds = isQuick ? 2 : 6;
      const javascriptUs = async (front: Server) => {
        await keepBusy(front.port, WARM_UP_SECONDS);
        const idle = watchCpu();
        await Bun.sleep(seconds * 1_000);
        const idleMs = idle.used().javascriptMs;
        const busy = watchCpu();
        const requests = await keepBusy(front.port, seconds);
        return ((busy.used().javascriptMs - idleMs) / requests) * 1e3;
      };
      const noneUs = await javascriptUs(await throughGateway()(behind));
      const onAccess = () => void (events += 1);
      const accessUs = await javascriptUs(await throughGateway({ onAccess })(behind));
      if (events === 0) throw new Error('onAccess was not called');
      return { noneUs, accessUs };
    },
  },
};

const memory: Scenario = {
  name: 'gateway-memory',
  title: 'Memory of idle connections',
  note:
    'Connections that were used once and are open: TLS with keep-alive, plain, and WebSockets with both of their ends. ' +
    'Growth of resident memory over their number.',
  columns: FRONTS,
  group,
  metrics: [
    { id: 'tlsBytes', label: 'a TLS connection', unit: 'B', goal: atMost(12 * 1024, 'B') },
    { id: 'plainBytes', label: 'a plain connection', unit: 'B', goal: atMost(12 * 1024, 'B') },
    { id: 'webSocketBytes', label: 'a WebSocket', unit: 'B', goal: atMost(10 * 1024, 'B') },
  ],
  subjects: {
    nginx: (context) => idleMemory(context, throughNginx),
    ours: (context) =>
      idleMemory(context, (tls) =>
        throughGateway(tls ? { tls: { cert: tls.cert, key: tls.key } } : {}),
      ),
  },
  maxRounds: 3,
};

async function idleMemory(
  { isQuick }: Context,
  front: (tls?: ReturnType<typeof certificate>) => Front,
): Promise<Sample> {
  const count = isQuick ? 500 : 4_000;
  const growth = async (server: Server, job: 'idle' | 'idle-websockets', security?: string) => {
    // What the first connections bring about once is not counted.
    await whileOpen(job, server.port, 50, async () => {}, security);
    const before = server.residentBytes();
    const open = await whileOpen(
      job,
      server.port,
      count,
      async () => (await Bun.sleep(1_000), server.residentBytes()),
      security,
    );
    return (open - before) / count;
  };
  const [hello, app] = [await helloServer(), await bunServer()];
  return {
    tlsBytes: await growth(await front(certificate())(hello), 'idle', 'tls'),
    plainBytes: await growth(await front()(hello), 'idle'),
    webSocketBytes: await growth(await front()(app), 'idle-websockets'),
  };
}

const streams: Scenario = {
  name: 'gateway-streams',
  title: 'WebSockets, events, uploads and downloads',
  note:
    'A Bun tenant; eight WebSockets that echo, one stream of events, and one upload and download. ' +
    'Memory is the growth of the process in between.',
  columns: FRONTS,
  group,
  metrics: [
    { id: 'echoUs', label: 'a message there and back', unit: 'µs', goal: timesNginx(1 / 0.9) },
    { id: 'eventUs', label: 'an event', unit: 'µs', goal: timesNginx(1 / 0.9) },
    { id: 'uploadMs', label: '1 GB up', unit: 'ms', goal: timesNginx(1 / 0.9) },
    { id: 'downloadMs', label: '1 GB down', unit: 'ms', goal: timesNginx(1 / 0.9) },
    { id: 'growthMb', label: 'memory for both', unit: 'MB', goal: atMost(4, 'MB') },
  ],
  subjects: fronts(bunServer, async (front, { isQuick }) => {
    const [messages, events, bytes] = isQuick ? [20_000, 20_000, 1e8] : [200_000, 200_000, 1e9];
    await client('echo', front.port, 1_000);
    const echo = await client('echo', front.port, messages);
    const stream = await client('events', front.port, events);
    await client('download', front.port, 1e7);
    await client('upload', front.port, 1e7);
    const before = front.residentBytes();
    const upload = await client('upload', front.port, bytes);
    if (!upload.isWhole) throw new Error('the upload did not arrive whole');
    const download = await client('download', front.port, bytes);
    if (download.bytes < bytes) throw new Error(`only ${download.bytes} bytes came down`);
    const toGb = 1e9 / bytes;
    return {
      echoUs: (echo.ms / messages) * 1e3,
      eventUs: (stream.ms / events) * 1e3,
      uploadMs: upload.ms * toGb,
      downloadMs: download.ms * toGb,
      growthMb: (front.residentBytes() - before) / 2 ** 20,
    };
  }),
  maxRounds: 3,
  timeoutMs: 300_000,
};

export const gateway: readonly Scenario[] = [keepAlive, steady, javascript, memory, streams];
