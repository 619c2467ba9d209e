/** Events and problems in people's words. */
import { sizeText } from '../errors.js';
import { deedIn, kindOf, whyOf } from './failures.js';

/** @typedef {import('../../index.js').RuntimeTransitionEvent} TransitionEvent */
/** @typedef {import('../../index.js').TenantStatus} TenantStatus */

/** @param {number} ms */
export function durationText(ms) {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Math.round(ms / 100) / 10} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 360_000) / 10} h`;
}

/** Why a process ended. @type {Record<import('../../index.js').ExitReason, string>} */
const REASONS = {
  crashed: 'crashed',
  'exited-clean': 'ended by itself',
  'idle-killed': 'was stopped: nobody used it',
  'lru-evicted': 'was stopped to make room',
  killed: 'was stopped',
  'readiness-timeout': 'was stopped: it did not become ready',
  disposed: 'was stopped with its host',
  restarted: 'was stopped to be started again',
  checkpointed: 'was saved and stopped: nobody used it',
  replaced: 'was replaced',
  moved: 'was stopped: another host serves it',
  fenced: 'was killed: its host lost its place in the fleet',
};

/**
 * How a process ended, in a few words: `with exit code 1`, `by SIGSEGV`.
 * @param {{ exitCode: number | null, signal?: string | null, limit?: 'memory' }} exit
 */
export function endText({ exitCode, signal, limit }) {
  if (limit === 'memory') return 'out of memory';
  if (signal) return `by ${signal}`;
  return exitCode === null ? 'without an exit code' : `with exit code ${exitCode}`;
}

/** How a host leaves its tenants. */
const DETACHMENTS = {
  asked: 'the host leaves its tenants to the next one',
  'take-over': 'the host leaves its tenants to another one, which has asked for them',
  fenced: 'the host did not answer, and its tenants were given to another one',
};

/** @param {TransitionEvent} event @returns {string} */
export function eventText(event) {
  switch (event.type) {
    case 'spawn':
      return `started as process ${event.pid}`;
    case 'ready':
      return `ready after ${durationText(event.durationMs)}, on port ${event.port}`;
    case 'adopt':
      return `taken over as process ${event.pid}`;
    case 'restored':
      return `restored from its snapshot in ${durationText(event.durationMs)}`;
    case 'recover': {
      const lost =
        event.linesLost === 0 ? '' : `; ${times(event.linesLost, 'line')} of its output lost`;
      return `has outlived an earlier host as process ${event.pid}${lost}`;
    }
    case 'sleep': {
      const { depth, rssBytes } = event;
      return depth === 'frozen'
        ? 'sleeps: it is frozen until it is used again'
        : `sleeps, with its memory in swap: ${sizeText(rssBytes)} are left`;
    }
    case 'wake':
      return event.byItself
        ? 'runs again by itself, and cannot be kept asleep'
        : `woke up in ${durationText(event.durationMs)}`;
    case 'idle-kill':
      return `is being stopped: nobody has used it for ${durationText(event.idleMs)}`;
    case 'lru-evict':
      return 'is being stopped to make room';
    case 'exit': {
      const isByItself = event.reason === 'crashed' || event.limit !== undefined;
      return `${REASONS[event.reason]}${isByItself ? ` (${endText(event)})` : ''}`;
    }
    case 'backoff':
      return `was asked for, and refused after ${times(event.attempt, 'failure')}; the next try is in ${durationText(event.retryAfterMs)}`;
    case 'drain':
      return 'the host starts no more tenants';
    case 'detach':
      return DETACHMENTS[event.reason];
  }
}

/**
 * The end of a process that was to replace another, which goes on.
 * @param {Extract<TransitionEvent, { type: 'exit' }>} event
 */
export function replacementEndText(event) {
  const { pid, reason } = event;
  const isByItself = reason === 'crashed' || reason === 'exited-clean' || event.limit !== undefined;
  const how = isByItself ? `ended ${endText(event)}` : REASONS[reason];
  return `its replacement (process ${pid}) ${how}`;
}

/** @param {number} count @param {string} what */
export const times = (count, what) => `${count} ${what}${count === 1 ? '' : 's'}`;

/** @typedef {import('../../control.js').ControlProblem} Problem */

/** A tenant is almost out of memory above this share of its limit. */
const NEARLY_FULL = 0.9;
/** A crash of a tenant that runs again is told for so long. */
const RECENT_MS = 300_000;

/**
 * What is known of a tenant that may be a problem.
 * @typedef {object} Condition
 * @property {TenantStatus} status
 * @property {import('../../control.js').ControlTenantState} state
 * @property {number | null} rssBytes
 * @property {number | null} memoryLimitBytes
 * @property {number} errorsPerSecond
 * @property {FailedStart | undefined} failedStart the last one that had no process
 * @property {FailedReplacement | undefined} failedReplacement the last one
 * @property {number} now
 */
/** @typedef {{ at: number, attempt: number, retryAt: number | null }} FailedStart */
/**
 * `pid` is the process that it left serving.
 * @typedef {import('./failures.js').Failure & { at: number, pid: number | null }} FailedReplacement
 */

/**
 * A replacement has failed, and what was to be replaced goes on.
 * @param {Condition} condition
 * @returns {FailedReplacement | undefined}
 */
export const openReplacement = ({ failedReplacement: failed, status }) =>
  isServing(status) && failed?.pid === status.pid ? failed : undefined;

/** Whether its process answers, now or once it is woken. @param {TenantStatus} status */
export const isServing = ({ state }) => state === 'ready' || state === 'asleep';

/** @param {import('./failures.js').Failure & { pid: number | null }} failed */
export const replacementText = ({ why, pid }) =>
  `could not be replaced: ${why}; ${pid === null ? 'nothing serves' : `process ${pid} goes on`}`;

/** Whether a tenant is nearly out of its memory. @param {Condition} condition */
export const isNearlyFull = ({ rssBytes, memoryLimitBytes }) =>
  rssBytes !== null && memoryLimitBytes !== null && rssBytes > NEARLY_FULL * memoryLimitBytes;

/**
 * What is wrong with a tenant, if anything is; the worst only.
 * @param {Condition} condition
 * @returns {Problem | null}
 */
export function problemOf(condition) {
  const { status, state, now } = condition;
  const { lastExit } = status;
  if (status.state === 'stuck') {
    return {
      code: 'STUCK',
      summary: 'does not end, although it was killed',
      advice:
        'Its process waits in the kernel, for a disk or a network file system: see what hangs there.',
      lines: lastExit?.lines ?? [],
      at: now,
    };
  }
  if (state === 'failed' || state === 'backing-off') return failureOf(condition);
  if (!isServing(status)) return null;
  if (isNearlyFull(condition)) {
    const { rssBytes, memoryLimitBytes } = condition;
    return {
      code: 'MEMORY_NEARLY_FULL',
      summary: `uses more than 90 % of its ${sizeText(memoryLimitBytes ?? 0)} of memory`,
      advice: `At the limit the kernel ends it. Raise limits.memoryBytes, or look for what it keeps (${sizeText(rssBytes ?? 0)} now).`,
      lines: [],
      at: now,
    };
  }
  const failed = openReplacement(condition);
  if (failed !== undefined) {
    const advice = failed.kind === undefined ? '' : `${adviceFor(failed.kind)} `;
    return {
      code: 'REPLACE_FAILED',
      summary: `could not be replaced: ${failed.why}`,
      advice: `${advice}Process ${failed.pid} serves as before; \`replace\` tries again.`,
      lines: failed.lines,
      at: failed.at,
    };
  }
  const hasCrashed = lastExit?.reason === 'crashed' && now - lastExit.at < RECENT_MS;
  if (hasCrashed && lastExit !== null) {
    return {
      code: lastExit.limit === 'memory' ? 'OUT_OF_MEMORY' : 'CRASHED',
      summary: `crashed ${endText(lastExit)}, and runs again`,
      advice: adviceFor(lastExit.limit === 'memory' ? 'OUT_OF_MEMORY' : 'CRASHED', lastExit),
      lines: lastExit.lines,
      at: lastExit.at,
    };
  }
  if (condition.errorsPerSecond > 0) {
    return {
      code: 'SERVER_ERRORS',
      summary:
        'answered requests with 5xx, broke them off or did not take them, in the last minute',
      advice: 'See its log for what it failed at.',
      lines: [],
      at: now,
    };
  }
  return null;
}

/**
 * Of a tenant that is not running although it should.
 * @param {Condition} condition
 * @returns {Problem}
 */
function failureOf({ status, failedStart, now }) {
  const { lastError, attempt, crashes } = status;
  // A start without a process says nothing of the one that ended before it.
  const began = failedStart?.attempt === attempt ? failedStart : undefined;
  const lastExit = began === undefined ? status.lastExit : null;
  const [error = ''] = (lastError ?? '').split('\n');
  const code = codeOf(lastExit, attempt, error);
  const isCrash = code === 'CRASHED' || (code === 'OUT_OF_MEMORY' && attempt === 0);
  const end = lastExit === null ? '' : endText(lastExit);
  const times = isCrash ? crashes : attempt;
  const what = isCrash ? `crashed ${end}` : failureWords(error || end);
  const summary = times > 1 ? `${what} (${times} times${isCrash ? '' : ' in a row'})` : what;
  return {
    code,
    summary,
    advice: `${adviceFor(code, lastExit)} ${nextStart(status)}`.trim(),
    lines: lastExit?.lines ?? [],
    at: lastExit?.at ?? began?.at ?? now,
  };
}

/**
 * When a tenant without a process is started again. By its state, which knows whether its wait is
 * over: `retryAt` is of another clock, or when one that is to be kept up is started by itself.
 * @param {TenantStatus} status
 */
function nextStart({ state }) {
  if (state === 'failed')
    return 'Requests do not start it any more: `restart` does, and after `clear` the next request.';
  if (state === 'backing-off')
    return 'The first request after its wait starts it; `restart` does so at once, and `clear` ends its wait.';
  return 'The next request starts it, and so does `start`.';
}

/**
 * A failed start, as it is said of a tenant whose key stands beside it.
 * @param {string} error the first line of the runtime's message
 */
export const failureWords = (error) => deedIn(error) ?? `could not be started: ${whyOf(error)}`;

/**
 * What kind of failure it was.
 * @param {TenantStatus['lastExit']} lastExit
 * @param {number} attempt
 * @param {string} error the first line of the runtime's message
 */
function codeOf(lastExit, attempt, error) {
  if (lastExit?.limit === 'memory') return 'OUT_OF_MEMORY';
  if (attempt === 0 || / ms after it was ready$/.test(error)) return 'CRASHED';
  return kindOf(error);
}

/** @type {Record<string, string>} */
const ADVICE = {
  OUT_OF_MEMORY:
    'It needs more memory than its limit: raise limits.memoryBytes, or find what grows.',
  CRASHED: 'Its last lines say why.',
  KILLED:
    'The kernel does that when the machine or the container is out of memory (its log says so): ' +
    'bound what tenants use by limits, or give it more. Else another program has sent the signal.',
  NOT_READY: 'It must listen on the port that the variable PORT names, and answer there.',
  PORT_TAKEN: 'Another program has taken its port; the next start gets another one.',
  EXITED_EARLY: 'It ended before it listened: its last lines say why.',
  NOT_STARTED: 'See what the message names: its directory, its package.json, its command.',
};

/**
 * A tenant that neither its host nor its own limit killed has no last words about it.
 * @param {string} code
 * @param {TenantStatus['lastExit']} [lastExit]
 */
function adviceFor(code, lastExit) {
  const isKilled = code === 'CRASHED' && lastExit?.signal === 'SIGKILL';
  return ADVICE[isKilled ? 'KILLED' : code] ?? '';
}
