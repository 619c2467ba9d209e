/** `inspect`: all that is known of one tenant. */
import { clientOf, tenantPath } from './client.js';
import { eventInWords } from './events.js';
import { Failure } from './mistakes.js';
import { unknownKey } from './ps.js';
import { problemOf, stateInWords } from './tenants.js';
import { BOLD, DIM } from './terminal.js';
import { asJson, clip, harmless, wrapped } from './text.js';
import {
  bytesInWords,
  durationInWords,
  latencyInWords,
  percentInWords,
  rateInWords,
  several,
  sparkline,
  timeInWords,
} from './words.js';

const SHOWN_EVENTS = 10;
const LABEL_WIDTH = 11;

/** @type {import('./commands.js').Run} */
export async function run({ words: [key = ''], options }, io) {
  const client = clientOf(options, io.env);
  const tenant = await client.get(tenantPath(key)).catch(async (error) => {
    if (!(error instanceof Failure) || error.code !== 'NOT_FOUND') throw error;
    const { tenants } = await client.get('/tenants');
    throw unknownKey(
      key,
      tenants.map((/** @type {any} */ one) => one.key),
    );
  });
  io.print(options.json ? asJson(tenant) : asText(tenant, io).join('\n'));
}

/** @param {any} tenant @param {import('./terminal.js').Io} io */
function asText(tenant, io) {
  const { paint } = io;
  const problem = problemOf(tenant, io, Infinity);
  const { timeline = [], lastLines = [] } = tenant;
  return [
    `${paint(BOLD, harmless(tenant.key))}  ${stateInWords(tenant)}`,
    ...facts(tenant).flatMap(([label, text]) => labelled(label, text, io)),
    ...(problem.length > 0 ? ['', ...problem] : []),
    ...(timeline.length > 0 ? ['', paint(BOLD, 'What happened')] : []),
    ...timeline
      .slice(-SHOWN_EVENTS)
      .map((/** @type {any} */ event) => eventInWords({ ...event, key: null }, io)),
    ...(lastLines.length > 0 ? ['', paint(BOLD, 'Last lines')] : []),
    ...lastLines.map((/** @type {any} */ { line }) => clip(harmless(line), io.columns())),
  ];
}

/** @param {any} tenant @returns {[string, string][]} */
function facts(tenant) {
  const { pid, port, startedAt, uptimeMs, lastTouchedAt, spark = [] } = tenant;
  const latency = [tenant.p50Ms, tenant.p99Ms].map(latencyInWords);
  const rows = /** @type {[string, string | false][]} */ ([
    ['process', pid !== null && `pid ${pid}, port ${port}`],
    ['up', startedAt !== null && `${durationInWords(uptimeMs)}, since ${timeInWords(startedAt)}`],
    ['used', lastTouchedAt !== null && timeInWords(lastTouchedAt)],
    [
      'so far',
      `${several(tenant.starts, 'start')}, ${several(tenant.crashes, 'crash', 'crashes')}`,
    ],
    [
      'requests',
      `${rateInWords(tenant.requestsPerSecond)} a second, ${tenant.inFlight} open, ` +
        `${tenant.waiting} waiting, ${tenant.requests} in all`,
    ],
    ['', spark.length > 0 && sparkline(spark)],
    [
      'refused',
      tenant.refusedPerSecond > 0 &&
        `${several(Math.round(tenant.refusedPerSecond * 60), 'request')} by the gateway in the last minute`,
    ],
    ['latency', latency[0] !== '' && `half within ${latency[0]}, 99 % within ${latency[1]}`],
    ['CPU', tenant.cpuPercent !== null && `${percentInWords(tenant.cpuPercent)} of a core`],
    [
      'memory',
      tenant.rssBytes !== null &&
        bytesInWords(tenant.rssBytes) +
          (tenant.memoryLimitBytes ? ` of ${bytesInWords(tenant.memoryLimitBytes)}` : ''),
    ],
    // Without a process there are none, and this says nothing of those of its next one.
    ['limits', pid !== null && limitsInWords(tenant.limits ?? {})],
    ['walls', pid !== null && wallsInWords(tenant.isolation)],
  ]);
  return /** @type {[string, string][]} */ (rows.filter(([, text]) => text !== false));
}

/** @param {Record<string, { value: number, by: string }>} limits */
function limitsInWords(limits) {
  const parts = Object.entries(limits).map(([name, { value, by }]) => {
    const shown = name.endsWith('Bytes') ? bytesInWords(value) : value;
    return `${name} ${shown}${by === 'none' ? ' (not kept on this host)' : ` (${by})`}`;
  });
  return parts.join(', ') || 'none in force';
}

/** @param {any} isolation */
function wallsInWords(isolation) {
  if (isolation === null || isolation === undefined) return 'none in force';
  const { landlock, seccomp, user, missing } = isolation;
  const parts = [
    landlock !== null && `Landlock ${landlock}`,
    seccomp && 'seccomp',
    user !== null && `user ${user}`,
    missing.length > 0 && `not kept on this host: ${missing.join(', ')}`,
  ];
  return parts.filter(Boolean).join(', ') || 'none in force';
}

/** @param {string} label @param {string} text @param {import('./terminal.js').Io} io */
function labelled(label, text, io) {
  return wrapped(harmless(text), io.textColumns() - LABEL_WIDTH).map((line, index) => {
    const name = (index === 0 ? label : '').padEnd(LABEL_WIDTH);
    return io.paint(DIM, name) + line;
  });
}
