// The kinds of rounds: odd options; odd keys and calls; odd processes and functions; odd requests.
import { createEgressGuard, createRuntime, execCheckpointDriver } from '@absolutejs/runtime';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { created, must, mustBeOurs, mustNotThrow, settled } from './checks.mjs';
import { isWithoutEnd, odd, oddFunction, spoilt } from './odd-values.mjs';

/** @typedef {import('./random.mjs').Random} Random */

const source = { kind: /** @type {const} */ ('directory'), root: '/nowhere' };
const driver = {
  checkpoint: async () => false,
  restore: async () => null,
  drop: async () => {},
  has: async () => false,
};
const span = /** @type {any} */ ({ setAttribute() {}, setStatus() {}, end() {} });
const tracerProvider = { getTracer: () => ({ startSpan: () => span }) };

/** @satisfies {Partial<import('@absolutejs/runtime').RuntimeOptions>} */
const runtimeOptions = {
  source,
  idleAfterMs: 20,
  maxConcurrent: 3,
  sweepIntervalMs: 5,
  observeIntervalMs: 20,
  stopTimeoutMs: 5,
  spawnConcurrency: 2,
  command: ['bun', 'run', 'start'],
  env: { A: 'a', B: undefined },
  tenant: () => ({ readinessPath: '/x', warm: true, idleAfterMs: 5 }),
  backoff: { baseMs: 1, maxMs: 2, maxFailures: 3 },
  idle: /** @type {const} */ ('untouched'),
  shouldIdleKill: () => true,
  // Others are refused beside `spawn` and `checkpoint`.
  sleep: /** @type {const} */ (false),
  evict: /** @type {const} */ ('cost'),
  memory: { keepFreeBytes: 1 },
  checkpoint: { driver, restoreTimeoutMs: 50 },
  tracerProvider,
  readiness: async () => true,
  onLog() {},
  onMetrics() {},
  onTransition() {},
};
const egressOptions = {
  allow: ['10.0.0.0/8', '::1'],
  deny: ['example.com', '*.example.org'],
  only: ['app.test'],
  budget: { windowMs: 1_000, maxRequests: 5, maxBytes: 1_000 },
  budgets: { windowMs: 1_000, requests: 5, bytes: 1_000 },
  lookup: () => ['93.184.216.34'],
  onDenied() {},
  onDeny() {},
  fetchImpl: async () => new Response('ok'),
  now: () => Date.now(),
  tracerProvider,
};
const execOptions = {
  checkpointCommand: ['a'],
  restoreCommand: ['b'],
  imageDir: '/x',
  timeoutMs: 5,
  onError() {},
};
const collectorOptions = {
  prefix: 'x_',
  labels: { pool: 'a' },
  perTenant: { max: 3 },
  registers: [],
};

/**
 * A random part of the options, so that each is tried alone and together with others.
 * @param {Record<string, unknown>} all
 * @param {Random} random
 */
const some = (all, random) =>
  Object.fromEntries(Object.entries(all).filter(() => random.chance(0.4)));

/** @param {object} value @param {Random} random */
const spoiltOnceOrTwice = (value, random) =>
  spoilt(random.chance(0.2) ? spoilt(value, random) : value, random);

/** @param {Random} random */
function oddButNoFunction(random) {
  const value = odd(random);
  return typeof value === 'function' ? null : value;
}

/** @param {Random} random */
export async function options(random) {
  const given = spoiltOnceOrTwice(
    { ...some(runtimeOptions, random), source, spawn: oddFunction(random) },
    random,
  );
  const runtime = created('createRuntime', () => createRuntime(given));
  if (runtime !== undefined) await ended(runtime);
  const egressGiven = spoiltOnceOrTwice(some(egressOptions, random), random);
  created('createEgressGuard', () => createEgressGuard(egressGiven));
  const execGiven = spoiltOnceOrTwice(execOptions, random);
  created('execCheckpointDriver', () => execCheckpointDriver(execGiven));
  const collectorGiven = spoiltOnceOrTwice(some(collectorOptions, random), random);
  const collector = created('createRuntimeCollector', () => createRuntimeCollector(collectorGiven));
  const observed = { metrics() {}, list: () => [], inspect: () => null };
  /**
   * The arguments of `attach`. It passes on what `create` throws, so that is no odd function.
   * @type {any[]}
   */
  const attached = [
    random.chance(0.8) ? () => observed : oddButNoFunction(random),
    odd(random),
    spoiltOnceOrTwice({ a: 'b' }, random),
  ];
  created('attach', () => collector?.attach(attached[0], attached[1], attached[2]));
}

const keys = ['a', 'b', 'c', 'org/app', 'x'.repeat(512), 'ä', '__proto__', 'a b', '-', '%00'];
const CALL_CODES = [
  'INVALID_KEY',
  'INVALID_OPTION',
  'DISPOSED',
  'DRAINING',
  'ABORTED',
  'BACKOFF',
  'MAX_FAILURES',
];
CALL_CODES.push(
  'SPAWN',
  'EXITED_EARLY',
  'READINESS_TIMEOUT',
  'STOP_TIMEOUT',
  'STOP_REFUSED',
  'OVERLOADED',
);
CALL_CODES.push('ALREADY_REGISTERED', 'NO_PORT', 'PORT_TAKEN');
const callCodes = CALL_CODES.map((code) => `ERR_RUNTIME_${code}`);

/** Larger than any pid of Linux, so that no real process has it. */
let lastPid = 2 ** 30;

/** A correct process, which ends when the round says so. @param {(() => void)[]} releases */
function fakeProcess(releases) {
  /** @type {(code: number | null) => void} */
  let exit = () => {};
  const exited = new Promise((resolve) => (exit = resolve));
  releases.push(() => exit(0));
  return { pid: ++lastPid, exited, kill: () => exit(null), port: 4_000, resourceId: 'r' };
}

/**
 * Disposes a runtime. A process with a broken `kill` may stay tracked.
 * @param {import('@absolutejs/runtime').Runtime} runtime
 */
async function ended(runtime) {
  const { error } = await settled('dispose', () => runtime.dispose());
  if (error !== undefined) mustBeOurs('dispose', error, ['ERR_RUNTIME_STOP_REFUSED']);
  else
    must(
      'nothing is left after dispose',
      nothingLeft(runtime),
      JSON.stringify([runtime.stats(), runtime.list()]),
    );
  return error === undefined;
}

/**
 * Whether no process is left; `list` may still show snapshots and failures.
 * @param {import('@absolutejs/runtime').Runtime} runtime
 */
const nothingLeft = (runtime) =>
  runtime.stats().total === 0 && runtime.list().every(({ pid }) => pid === null);

/** Odd calls of a pool whose processes are correct. @param {Random} random */
export async function calls(random) {
  /** @type {(() => void)[]} */
  const releases = [];
  const runtime = createRuntime({
    ...runtimeOptions,
    spawn: async () => fakeProcess(releases),
  });
  const key = () => (random.chance(0.5) ? random.one(keys) : odd(random));
  const callOptions = () =>
    random.chance(0.5) ? undefined : spoilt({ signal: new AbortController().signal }, random);
  const adopted = () =>
    random.chance(0.3) ? spoilt({ pid: 2 ** 30 }, random) : spoilt(fakeProcess(releases), random);
  const pending = [];
  for (let count = 0; count < 12; count += 1) {
    const [of, options] = [/** @type {any} */ (key()), callOptions()];
    const call = random.one([
      () => runtime.ensure(of, options),
      () => runtime.restart(of, options),
      () => runtime.replace(of, random.chance(0.5) ? options : spoilt({ drainMs: 1 }, random)),
      () => runtime.kill(of),
      () =>
        runtime.adopt(
          of,
          adopted(),
          spoilt({ port: 4_000, startedAt: 1, lastTouchedAt: 1 }, random),
        ),
    ]);
    pending.push(settled('a call', call));
    mustNotThrow('touch', () => runtime.touch(of));
    mustNotThrow('inspect', () => runtime.inspect(of));
    mustNotThrow('clearBackoff', () => runtime.clearBackoff(of));
  }
  for (const status of runtime.list())
    must('keys are strings', typeof status.key === 'string', status.key);
  await pause(random);
  releases.forEach((release) => release());
  const isOver = ended(runtime);
  for (const outcome of await Promise.all(pending)) {
    if ('error' in outcome) mustBeOurs('a call', outcome.error, callCodes, true);
  }
  await isOver;
}

/** A pool with odd processes and odd functions. @param {Random} random */
export async function adapters(random) {
  /** @type {(() => void)[]} */
  const releases = [];
  /** @type {Map<number, { begun: number, exits: number }>} */
  const told = new Map();
  const maybe = (/** @type {unknown} */ good) => (random.chance(0.7) ? good : oddFunction(random));
  /** @param {any} event */
  const note = (event) => {
    if (typeof event.pid !== 'number') return;
    const seen = told.get(event.pid) ?? { begun: 0, exits: 0 };
    told.set(event.pid, seen);
    if (event.type === 'spawn' || event.type === 'adopt') seen.begun += 1;
    if (event.type === 'exit') seen.exits += 1;
    if (random.chance(0.2)) return oddFunction(random)();
  };
  const runtime = created('createRuntime', () =>
    createRuntime(
      /** @type {any} */ ({
        ...runtimeOptions,
        checkpoint: random.chance(0.5)
          ? undefined
          : {
              driver: Object.fromEntries(
                Object.entries(driver).map(([name, good]) => [name, maybe(good)]),
              ),
              restoreTimeoutMs: 5,
            },
        tracerProvider: random.chance(0.5) ? undefined : { getTracer: oddFunction(random) },
        env: random.chance(0.5) ? {} : oddFunction(random),
        readiness: maybe(async () => true),
        shouldIdleKill: maybe(() => true),
        onLog: oddFunction(random),
        onMetrics: oddFunction(random),
        onTransition: note,
        spawn: async (/** @type {any} */ { onLogLine }) => {
          mustNotThrow('onLogLine', () => onLogLine(odd(random)));
          const process = fakeProcess(releases);
          return random.chance(0.5) ? process : spoilt(process, random);
        },
      }),
    ),
  );
  if (runtime === undefined) return;
  const pending = ['a', 'b', 'c', 'd', 'a'].map((key) =>
    settled('ensure', () => runtime.ensure(key)),
  );
  await pause(random);
  for (const key of ['a', 'b'])
    pending.push(
      settled('a call', () =>
        runtime[random.one(/** @type {const} */ (['kill', 'restart', 'replace']))](key),
      ),
    );
  await pause(random);
  mustNotThrow('metrics', () => runtime.metrics());
  mustNotThrow('list', () => runtime.list());
  releases.forEach((release) => release());
  const over = ended(runtime);
  for (const outcome of await Promise.all(pending)) {
    if ('error' in outcome) mustBeOurs('a call', outcome.error, callCodes, true);
  }
  if (!(await over)) return;
  // Two odd processes may have the same pid, and are counted together then.
  for (const [pid, { begun, exits }] of told)
    must(`every start has its exit: ${pid}`, begun === exits, `${begun}, ${exits}`);
}

const EGRESS_CODES = ['INVALID_KEY', 'INVALID_OPTION', 'EGRESS_DENIED', 'EGRESS_FAILED'].map(
  (code) => `ERR_RUNTIME_${code}`,
);

/** Odd requests through the egress guard; none leaves the machine. @param {Random} random */
export async function egress(random) {
  const guard = created('createEgressGuard', () =>
    createEgressGuard(
      /** @type {any} */ ({
        lookup: random.chance(0.7) ? () => ['93.184.216.34'] : oddFunction(random),
        fetchImpl: random.chance(0.7) ? async () => new Response('ok') : async () => odd(random),
        onDeny: oddFunction(random),
        ...(random.chance(0.3) ? { allow: oddFunction(random) } : {}),
        ...(random.chance(0.5) ? { budgets: { requests: 2, bytes: 10 } } : {}),
        ...(random.chance(0.3) ? { now: () => odd(random) } : {}),
        ...(random.chance(0.3) ? { tracerProvider: { getTracer: oddFunction(random) } } : {}),
      }),
    ),
  );
  for (let count = 0; count < 6 && guard !== undefined; count += 1) {
    const controller = new AbortController();
    const init = random.chance(0.5)
      ? undefined
      : spoilt(
          {
            method: 'POST',
            body: 'x',
            headers: { a: 'b' },
            signal: controller.signal,
            redirect: 'follow',
          },
          random,
        );
    const input = random.chance(0.6)
      ? random.one(['http://app.test/', 'http://127.0.0.1/', 'x:', 'http://a:b@c/'])
      : odd(random);
    const key = random.chance(0.8) ? 'a' : odd(random);
    if (isWithoutEnd(init)) continue;
    const answer = settled(
      'fetch',
      () => guard.fetch(/** @type {any} */ (key), /** @type {any} */ (input), init),
      Infinity,
    );
    // A lookup may never answer.
    setTimeout(() => controller.abort(), 5);
    const outcome = await Promise.race([
      answer,
      new Promise((resolve) => setTimeout(resolve, 20, {})),
    ]);
    answer.catch(() => {});
    if ('error' in outcome) mustBeOurs('fetch', outcome.error, EGRESS_CODES, true);
  }
  mustNotThrow('metrics', () => guard?.metrics());
}

/** @param {Random} random */
const pause = (random) =>
  new Promise((resolve) => setTimeout(resolve, random.one([0, 0, 1, 5, 25])));
