/** What `serve` says once it serves. */
import { accessSync, constants } from 'node:fs';
import { hostname } from 'node:os';
import { delimiter, join } from 'node:path';
import { tellingOf } from '../../dashboard/page/telling.js';
import { clip, harmless, wrapped } from '../text.js';
import { bytesInWords, durationInWords, several } from '../words.js';
import { isEveryAddress, isLoopback } from './host.js';
import { keysIn, strangersIn } from './tenants.js';

const LABEL_WIDTH = 13;
/** More addresses than these are told by their pattern. */
const SHOWN_TENANTS = 10;

/** What a host name can have as one label: they are compared in lower case. */
const HOST_LABEL = /^[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?$/;

/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('../settings.js').Settings} Settings */

/**
 * @param {Settings} settings
 * @param {Host} host
 * @param {any} shown the host as its control socket shows it
 */
export function summaryOf(settings, host, shown) {
  const { dir, values } = settings;
  const keys = keysIn(dir);
  return {
    name: values.name,
    pid: process.pid,
    root: dir,
    urls: host.addresses.map(({ url }) => url),
    tenants: keys.map((key) => ({
      key,
      url: values.route === 'path' || HOST_LABEL.test(key) ? urlOf(key, settings, host) : null,
    })),
    pattern: urlOf('KEY', settings, host),
    dashboard: linkOf(host.listening.dashboardUrl),
    metrics: host.metricsUrl ?? null,
    control: host.listening.path,
    logs: values['log-dir'] ?? null,
    survive: values.survive
      ? {
          name: values.survive,
          forMs: values['survive-for'],
          takeOver: values['take-over'] === true,
        }
      : null,
    fleet: host.fleet ?? null,
    protects: shown?.protects ?? null,
  };
}

/** @param {string} key @param {Settings} settings @param {Host} host */
function urlOf(key, { values }, { addresses }) {
  const { port, url = '' } = addresses.find((address) => address.port !== undefined) ?? {};
  const scheme = values['tls-cert'] === undefined ? 'http' : 'https';
  const usual = scheme === 'http' ? 80 : 443;
  const place = port === undefined || port === usual ? '' : `:${port}`;
  if (values.route === 'path') {
    const base =
      port === undefined || isEveryAddress(values.host)
        ? `${scheme}://${values.domain}${place}`
        : url;
    return `${base}/${key.split('/').map(encodeURIComponent).join('/')}/`;
  }
  return `${scheme}://${encodeURIComponent(key)}.${values.domain}${place}/`;
}

/**
 * @param {ReturnType<typeof summaryOf>} summary
 * @param {Settings} settings
 * @param {string | undefined} unit of systemd that the next host cannot be started in
 * @param {import('../terminal.js').Io} io
 */
export function tell(summary, settings, unit, io) {
  const say = (/** @type {string} */ label, /** @type {string} */ text) => {
    const lines = wrapped(harmless(text), io.textColumns() - LABEL_WIDTH - 2);
    lines.forEach((line, index) =>
      io.complain(`  ${(index === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`),
    );
  };
  const { tenants, pattern } = summary;
  io.complain(`${summary.name} serves (pid ${summary.pid}, ${engine()})`);
  say('tenants', `${several(tenants.length, 'directory', 'directories')} in ${summary.root}`);
  say('', lifeOf(settings));
  say('each', protection(settings));
  for (const text of summary.protects?.missing ?? []) say('not kept', text);
  if (process.getuid?.() === 0 && !settings.values['user-range']) say('root', asRoot(settings));
  if (!isOnPath('bun', io.env.PATH)) {
    say('no bun', 'there is no bun on PATH, so no tenant can start: install it, or mend PATH');
  }
  if (settings.file !== undefined) say('config', settings.file);
  const unnamed = tenants.filter(({ url }) => url === null).map(({ key }) => key);
  if (unnamed.length > 0) {
    say(
      'unreachable',
      `${unnamed.slice(0, SHOWN_TENANTS).join(', ')}: no name of a host, which has small letters, ` +
        'digits and - only: rename it, or use --route path',
    );
  }
  const strangers = strangersIn(summary.root);
  if (strangers.length > 0) {
    const shown = strangers.slice(0, SHOWN_TENANTS).map(harmless).join(', ');
    say(
      'left out',
      `${shown}: no name of a tenant, with a control character or a backslash in it: rename it`,
    );
  }
  if (summary.survive) say('survive', survivalInWords(summary.survive));
  if (summary.fleet)
    say(summary.fleet.hasJoined ? 'fleet' : 'no fleet yet', fleetInWords(summary.fleet));
  if (unit !== undefined) say('no next host', besideInWords(unit));
  say('control', `${summary.control} (absolutejs-runtime ps, top, logs)`);
  if (summary.logs) say('logs', `${summary.logs} (what tenants print, 1 GiB in all)`);
  if (summary.metrics) say('metrics', summary.metrics);
  if (summary.dashboard) {
    say('dashboard', `${harmless(summary.dashboard)} (whoever has this link can act)`);
    const address = settings.values.dashboard.hostname;
    if (!isLoopback(address)) say('', openToAll(address));
  }
  io.complain('');
  const urls = tenants.flatMap(({ url }) => url ?? []);
  for (const url of urls.slice(0, SHOWN_TENANTS)) io.print(url);
  const left = urls.length - SHOWN_TENANTS;
  if (urls.length === 0) io.print(pattern);
  if (left > 0) io.complain(`and ${left} more: ${pattern}`);
  if (summary.dashboard) io.print(summary.dashboard);
}

/**
 * The link as a browser on this machine can open it: an address for all addresses is none of them.
 *
 * @param {string | undefined} link
 */
function linkOf(link) {
  if (link === undefined) return null;
  const url = new URL(link);
  if (isEveryAddress(url.hostname)) url.hostname = 'localhost';
  return url.href;
}

/** What is to be known of a dashboard that others reach. @param {string} address */
function openToAll(address) {
  const names = isEveryAddress(address) ? `; elsewhere it is ${hostname()} or an address` : '';
  return `everybody who reaches ${address} can read all output, in clear${names}`;
}

/** @param {{ name: string, forMs: number | null }} survive */
function survivalInWords({ name, forMs }) {
  const wait = forMs === null ? 'until there is another host' : `for ${durationInWords(forMs)}`;
  return `tenants outlive this host as ${name}, ${wait} (absolutejs-runtime end ${name})`;
}

/** @param {import('./host.js').InFleet} fleet */
function fleetInWords({ id, address, stores, hasJoined }) {
  const etcd = `etcd at ${stores.join(', ')}`;
  if (hasJoined)
    return `${id}, which others reach at ${address}; ${etcd} (absolutejs-runtime hosts)`;
  return `${id} goes on trying to join, and answers visitors with 503 until then: see to ${etcd}`;
}

/** @param {string} unit */
const besideInWords = (unit) =>
  `systemd cannot start one in ${unit} while tenants with limits are left: set ` +
  'DelegateSubgroup=absolute-host-apps there (systemd 254), or see docs/survival.md, With systemd';

const engine = () =>
  process.versions.bun ? `bun ${process.versions.bun}` : `node ${process.versions.node}`;

/** @param {Settings} settings */
function lifeOf({ values, texts }) {
  const idle = values.idle
    ? `stopped after ${texts.idle} without one`
    : 'never stopped for idleness';
  const sleep = values['sleep-after'] ? `asleep after ${texts['sleep-after']} without one, ` : '';
  return `each started by its first request, ${sleep}${idle}; ${values.max} at once`;
}

/** @param {Settings} settings */
function protection({ values }) {
  const limits = [
    values.memory !== null && `${bytesInWords(values.memory)} of memory`,
    values.cpus !== null && several(values.cpus, 'core'),
    values.processes !== null && several(values.processes, 'process', 'processes'),
  ].filter(Boolean);
  const walls =
    values.isolation === 'none'
      ? 'no walls: it can read what this host can'
      : `its own files and its own port only${values['user-range'] ? ', and a user of its own' : ''}`;
  return `${limits.join(', ') || 'no limits'}; ${walls}`;
}

/** @param {Settings} settings */
const asRoot = ({ values }) =>
  values.isolation === 'none'
    ? 'tenants run as root, and can do all that root can: --isolation tenant --user-range ' +
      '20000:10000 would be better'
    : 'tenants run as root within their walls: --user-range 20000:10000 would be better';

/** @param {string} program @param {string | undefined} path */
function isOnPath(program, path = '') {
  return path.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * What happens to tenants that an operator should find in the journal, in a line; undefined for
 * the rest, which `events` tells.
 *
 * @param {import('../../../index.js').RuntimeTransitionEvent} event
 * @param {(key: string) => import('../../../index.js').TenantStatus | null} statusOf
 */
export function incident(event, statusOf) {
  if (event.type !== 'exit') return undefined;
  const { key, reason, exitCode, limit, signal } = /** @type {any} */ (event);
  if (reason !== 'crashed' && reason !== 'readiness-timeout') return undefined;
  const how = {
    crashed:
      limit === 'memory'
        ? 'ran out of its memory'
        : `crashed (${signal ?? `exit code ${exitCode}`})`,
    'readiness-timeout': 'did not answer in time',
  }[/** @type {'crashed' | 'readiness-timeout'} */ (reason)];
  return inTheJournal(key, how, statusOf(key)?.lastExit?.lines);
}

/** Of its last words the journal has as much. */
const SHOWN_COLUMNS = 200;

/**
 * What has happened to a tenant, with the line that tells most, in a line of the journal.
 *
 * @param {string} key
 * @param {string} what
 * @param {readonly string[]} [lines] the last ones of its process
 */
export function inTheJournal(key, what, lines = []) {
  const [line] = tellingOf(lines, 1);
  const words = line === undefined ? '' : `, "${clip(harmless(line).trim(), SHOWN_COLUMNS)}"`;
  return `${harmless(key)} ${harmless(what)}${words}: absolutejs-runtime inspect ${harmless(key)}`;
}
