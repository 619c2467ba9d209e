/**
 * The handlers of the records that Rust sends, one function for each kind. `records.js` has their
 * types.
 */
import { handleRecord } from '../bridge/records.js';
import { environmentOf, variablesOf } from './environment.js';
import { LogText } from '../bridge/inbox.js';
import { failureOf, refuse } from './refusals.js';
import { asksForSettings, settingsOf } from './settings.js';
import { createRun } from './tenants.js';

/** @typedef {import('./tenants.js').Run} Run */
/** @typedef {import('../runtime.js').Core} Core */

/**
 * Handles the next record of the batch. Returns the text of a record of log lines, which the inbox
 * delivers.
 * @param {Core} core
 * @param {import('../bridge/batch.js').Batch} batch
 * @returns {LogText | undefined}
 */
export const handle = (core, batch) => handleRecord(batch, core, HANDLERS) || undefined;

/**
 * The directory that a valid key stands for.
 * @param {string} root as `directoryAt` makes it
 * @param {string} key
 */
const directoryOf = (root, key) => (root === '/' ? `/${key}` : `${root}/${key}`);

/** The run that the record is about. @param {Core} core @param {{ run: number }} record */
const runOf = ({ runs }, record) => /** @type {Run} */ (runs.get(record.run));

/** @type {import('../bridge/records.js').Handlers<Core, LogText | void>} */
const HANDLERS = {
  // From the decision to start a run until it is ready.

  prepare(core, record) {
    core.startsInHand += 1;
    start(core, begin(core, record));
  },
  starting(core, { run, key, port, startedAt }) {
    core.runs.set(run, createRun(run, key, port, startedAt));
  },
  findImage: (core, record) => core.checkpoints?.find(knownOrNew(core, record)),
  awaitImage: (core, record) => core.checkpoints?.wait(knownOrNew(core, record)),
  restoreImage(core, record) {
    core.startsInHand += 1;
    void core.checkpoints?.restore(begin(core, record), record.isOurs);
  },
  dropImage: ({ checkpoints }, { key }) => checkpoints?.drop(key),
  spawn(core, record) {
    const run = runOf(core, record);
    run.pid = record.pid;
    run.port = record.port;
    core.counts.totalSpawns += 1;
    core.tracing?.spawned(run);
    core.onTransition?.(
      withResource(run, { type: 'spawn', key: run.key, pid: run.pid, port: run.port }),
    );
  },
  askReadiness: (core, record) => core.external.askReadiness(runOf(core, record)),
  /** The process that a call of `adopt` handed over has become a run. */
  adopted({ runs, adoptions, external }, { run: id, call, key }) {
    const { process, taken, port, host, startedAt } =
      /** @type {import('../runtime.js').Adoption} */ (adoptions.get(call));
    adoptions.delete(call);
    const run = createRun(id, key, port, startedAt);
    run.pid = taken.pid;
    if (host !== undefined) run.host = host;
    run.process = process;
    run.resourceId = taken.resourceId;
    runs.set(id, run);
    external.reportExit(run, taken.exited);
  },

  // While a tenant is ready.

  ready(core, record) {
    const run = runOf(core, record);
    const { durationMs } = record;
    if (record.atIpv6) run.host = '::1';
    core.tenants.open(run, record.lease);
    core.counts.lastSpawnMs = durationMs;
    core.tracing?.ready(run, durationMs);
    const { key, pid, port } = run;
    core.onMetrics?.(withResource(run, { type: 'spawn', key, pid, port, durationMs }));
    core.onTransition?.(withResource(run, { type: 'ready', key, pid, port, durationMs }));
  },
  adopt(core, record) {
    const run = runOf(core, record);
    core.tenants.open(run, record.lease);
    const { key, pid, port } = run;
    core.onTransition?.(withResource(run, { type: 'adopt', key, pid, port }));
  },
  restored(core, record) {
    const { counts, tracing } = core;
    const run = runOf(core, record);
    const { pid, port, durationMs } = record;
    run.pid = pid;
    run.port = port;
    core.tenants.open(run, record.lease);
    counts.checkpoints.restores += 1;
    counts.checkpoints.lastRestoreMs = durationMs;
    tracing?.spawned(run);
    tracing?.ready(run, durationMs);
    core.onTransition?.(
      withResource(run, { type: 'restored', key: run.key, pid, port, durationMs }),
    );
  },
  log(core, record) {
    const { key, pid } = runOf(core, record);
    const { onLog } = core.listeners.length === 0 ? core.settings : core;
    return new LogText(record, key, pid, onLog);
  },
  observation(core, record) {
    const { key, pid } = runOf(core, record);
    const { cpuMs, rssBytes, at } = record;
    core.onMetrics?.({ type: 'observation', key, pid, cpuMs, rssBytes, at });
  },

  // While it sleeps, and on its way there.

  askSleep: (core, record) => void core.external.askSleep(runOf(core, record), record.idleMs),
  /** A tenant sleeps, or sleeps deeper. */
  sleep(core, record) {
    const { key, pid } = runOf(core, record);
    const { run, depth, rssBytes } = record;
    const { asleep, sleep } = core.counts;
    if (!asleep.has(run)) sleep.sleeps += 1;
    asleep.add(run);
    core.onTransition?.({ type: 'sleep', key, pid, depth, rssBytes });
  },
  wake(core, record) {
    const { key, pid } = runOf(core, record);
    const { run, depth, byItself } = record;
    const durationMs = record.durationUs / 1000;
    const { asleep, sleep } = core.counts;
    asleep.delete(run);
    sleep.wakes += 1;
    sleep.lastWakeMs = durationMs;
    const ofItself = byItself ? { byItself } : undefined;
    core.onTransition?.({ type: 'wake', key, pid, durationMs, depth, ...ofItself });
  },

  // What has outlived an earlier host, and this host's leaving its own to a later one.

  /** The first record of a run that an earlier host has started. */
  recover(core, record) {
    const { key, pid, port, startedAt, cpuMs, linesLost } = record;
    const run = createRun(record.run, key, port, startedAt);
    run.pid = pid;
    if (record.atIpv6) run.host = '::1';
    core.runs.set(run.id, run);
    // One that ends, or that another release has replaced, is handed out no more.
    if (record.lease !== null) core.tenants.open(run, record.lease);
    core.tracing?.begin(run);
    core.tracing?.spawned(run);
    core.onTransition?.({ type: 'recover', key, pid, port, startedAt, cpuMs, linesLost });
  },
  detach(core, { reason }) {
    core.onTransition?.({ type: 'detach', reason });
    core.leave();
  },

  // From the decision to stop a run to its last record.

  askIdle: (core, record) => void core.external.askIdle(runOf(core, record), record.idleMs),
  idleKill(core, record) {
    const { key, pid } = runOf(core, record);
    const { idleMs } = record;
    core.onTransition?.({ type: 'idle-kill', key, pid, reason: 'idle-threshold', idleMs });
  },
  lruEvict(core, record) {
    const { key, pid } = runOf(core, record);
    core.onTransition?.({ type: 'lru-evict', key, pid, reason: 'max-concurrent' });
  },
  checkpoint: (core, record) => core.checkpoints?.save(runOf(core, record)),
  askKill: (core, record) => void core.external.askKill(runOf(core, record), record.force),
  exit(core, record) {
    const { counts } = core;
    const run = runOf(core, record);
    const { key, pid } = run;
    const { exitCode, signal, reason, outOfMemory } = record;
    run.isOver = true;
    core.tenants.close(run);
    counts.asleep.delete(run.id);
    counts.totalExits[reason] += 1;
    if (reason === 'checkpointed') counts.checkpoints.checkpoints += 1;
    core.tracing?.exited(run, exitCode, reason, outOfMemory !== null);
    /** @type {import('../../index.js').RuntimeTransitionEvent & { type: 'exit' }} */
    const event = { type: 'exit', key, pid, exitCode, reason };
    if (signal !== null) event.signal = signal;
    if (outOfMemory !== null) event.limit = 'memory';
    core.onTransition?.(withResource(run, event));
    // What has not been told by now is left to the next host.
    if (core.settings.survive !== undefined) core.native.endTold(record.run);
  },
  /** The last record of the run. */
  release({ runs, tracing, onFailure }, { run: id }) {
    const run = runs.get(id);
    runs.delete(id);
    if (run !== undefined) {
      tracing?.release(run);
      if (run.pid === 0) onFailure?.({ type: 'start', key: run.key });
    }
  },

  // Answers, and records that belong to no run.

  settle(core, { call: number, outcome, output }) {
    switch (outcome.kind) {
      case 'tenant':
        return core.calls.close(number)?.resolve(runOf(core, outcome).live?.tenant);
      case 'done':
        return core.calls.close(number)?.resolve(undefined);
      case 'refused':
        return refuse(core, number, outcome.refusal, output);
    }
  },
  notStopped(core, record) {
    const run = core.runs.get(record.run);
    // A run that is unknown here was called off before it was prepared.
    if (run !== undefined) core.notStopped.push(failureOf(core, run, run.key, record.failure));
  },
  disposed: (core) => core.close(),
  sharedRoot: ({ settings }, { pid }) => warnOfSharedRoot(settings.root, pid),
  answer: ({ tickets }, { ticket, answer }) => tickets.close(ticket, answer),
  backoff({ onTransition }, { key, attempt, retryAfterMs }) {
    onTransition?.({ type: 'backoff', key, attempt, retryAfterMs });
  },
  drain: ({ onTransition }) => onTransition?.({ type: 'drain', reason: 'drain-requested' }),
};

/**
 * Warns that another runtime starts the tenants of the same root.
 * @param {string} root
 * @param {number | null} pid of the other runtime; null if it is not known
 */
function warnOfSharedRoot(root, pid) {
  const other =
    pid === process.pid
      ? 'another runtime of this process: dispose the one that is not needed (after a reload of `bun --hot` the one before)'
      : `another runtime, of ${pid === null ? 'a process that cannot be seen from here' : `process ${pid}`}`;
  process.emitWarning(
    `the tenants in ${root} are started by ${other}. Neither knows of the other, so a tenant may run twice on the same files`,
    { type: 'RuntimeWarning', code: 'ABS_RUNTIME_SHARED_ROOT' },
  );
}

/**
 * The run that a record of its start is about: a new one, or one that had no port until now.
 * @param {Core} core
 * @param {{ run: number, key: string, port: number, startedAt: number }} record
 */
function begin({ runs, tracing }, { run: id, key, port, startedAt }) {
  const known = runs.get(id);
  if (known !== undefined) {
    known.port = port;
    known.startedAt = startedAt;
    return known;
  }
  const run = createRun(id, key, port, startedAt);
  runs.set(id, run);
  tracing?.begin(run);
  return run;
}

/**
 * The run, which is made without a port if it is new.
 * @param {Core} core
 * @param {{ run: number, key: string }} record
 */
function knownOrNew(core, { run, key }) {
  return core.runs.get(run) ?? begin(core, { run, key, port: 0, startedAt: Date.now() });
}

/**
 * Starts a run that was prepared. What the user's functions say of its tenant is asked first, if
 * there are such functions.
 * @param {Core} core
 * @param {Run} run
 */
function start(core, run) {
  const { settings, external } = core;
  if (asksForSettings(settings)) return void startAsked(core, run);
  try {
    startWith(core, run, settings.env);
  } catch (error) {
    external.failStart(run, error);
  }
}

/**
 * Asks for the tenant's settings, and starts the run with them, unless it was called off meanwhile.
 * @param {Core} core
 * @param {Run} run
 */
async function startAsked(core, run) {
  const { settings, native, external, wake } = core;
  try {
    const { env, ...ruled } = await settingsOf(settings, run.key);
    const isWanted = native.rule(run.id, ruled);
    if (isWanted) startWith(core, run, env);
    else wake();
  } catch (error) {
    external.failStart(run, error);
  }
}

/**
 * Calls the user's `spawn`, or works out the variables of the run and lets Rust launch it.
 * @param {Core} core
 * @param {Run} run
 * @param {import('./environment.js').EnvSetting} env
 */
function startWith({ settings, native, external, tracing, wake, fleet }, run, env) {
  if (settings.spawn === undefined) {
    native.launch(
      run.id,
      variablesOf(env, run.key, (variables) => tracing?.setTraceparent(run, variables)),
    );
    wake();
  } else {
    const variables = environmentOf(env, run.key, run.port, fleet && native.epoch(run.key));
    tracing?.setTraceparent(run, variables);
    external.start(run, directoryOf(settings.root, run.key), variables);
  }
}

/**
 * The event, with the run's resource if it has one.
 * @template {object} E
 * @param {Run} run
 * @param {E & { resourceId?: string }} event
 */
function withResource({ resourceId }, event) {
  if (resourceId !== undefined) event.resourceId = resourceId;
  return event;
}
