/**
 * The table of all options. Flags, variables of the environment, keys of the config file, their
 * checks, the help and the completions are all made from it.
 */
import { STATES } from '../control/states.js';
import {
  address,
  bytes,
  cores,
  domain,
  duration,
  fleetAddress,
  fleetName,
  fleetStore,
  hostname,
  networks,
  oneOf,
  orWord,
  since,
  someTime,
  survivalName,
  text,
  users,
  whole,
  yesOrNo,
} from './values.js';

/**
 * @typedef {object} Option
 * @property {string} help
 * @property {string} [value] what stands for its value in the help; without it, it is a switch
 * @property {import('./values.js').Read} [read] checks the value
 * @property {unknown} [byDefault] as it would be given
 * @property {readonly string[]} [words] that complete its value
 * @property {string} [short] its letter
 * @property {'file' | 'directory'} [path] its value is a path
 * @property {boolean} [isSetting] may stand in the environment and the config file, too
 * @property {boolean} [isVariable] may stand in the environment, but not in the config file
 * @property {boolean} [isLive] is applied when the host reads its config file again
 */

const ROUTES = ['subdomain', 'path'];
const ISOLATIONS = ['tenant', 'none'];
const OUTGOING = ['stay', 'breathe', 'sleep'];
const EVICTIONS = ['lru', 'cost'];
const ENFORCEMENTS = ['best-effort', 'required'];
export const SORTS = ['problems', 'requests', 'cpu', 'memory', 'key'];

/** @type {Record<string, Option>} the settings of `serve`, in the order of its help */
const SETTINGS = {
  port: {
    value: 'PORT',
    read: whole(0, 65_535),
    byDefault: '3000',
    help: 'where the gateway listens; 0 is any that is free',
  },
  host: {
    value: 'ADDRESS',
    read: hostname,
    byDefault: '127.0.0.1',
    help: 'the address that it listens at; 0.0.0.0 is all of them',
  },
  domain: {
    value: 'NAME',
    read: domain,
    byDefault: 'localhost',
    help: 'tenants are KEY.NAME',
  },
  route: {
    value: 'HOW',
    read: oneOf(ROUTES),
    words: ROUTES,
    byDefault: 'subdomain',
    help: 'subdomain: KEY.localhost, or path: localhost/KEY/',
  },
  idle: {
    value: 'TIME',
    read: orWord('never', someTime('never')),
    byDefault: '5m',
    isLive: true,
    help: 'a tenant without requests is stopped after this long, or never',
  },
  max: {
    value: 'N',
    read: whole(1),
    byDefault: '100',
    help: 'how many tenants may run at once',
  },
  'sleep-after': {
    value: 'TIME',
    read: orWord('never', someTime('never')),
    byDefault: 'never',
    help: 'a tenant without requests is frozen after this long, until the next one; or never',
  },
  'page-out-after': {
    value: 'TIME',
    read: orWord('never', someTime('never')),
    help: 'its memory is handed to swap after this long, or never; by default 1m',
  },
  'max-asleep': {
    value: 'N',
    read: whole(1),
    help: 'how many may sleep at once, beside those that run; by default ten times --max',
  },
  outgoing: {
    value: 'HOW',
    read: oneOf(OUTGOING),
    words: OUTGOING,
    help: 'with connections to elsewhere: stay (by default) awake, breathe, or sleep',
  },
  evict: {
    value: 'WHOM',
    read: oneOf(EVICTIONS),
    words: EVICTIONS,
    byDefault: 'lru',
    help: 'who makes room: lru, who was used least recently, or cost, who is large and soon back',
  },
  'keep-free': {
    value: 'SIZE',
    read: orWord('none', bytes),
    byDefault: 'none',
    help: 'memory of the machine that is kept free, such as 512M, or none',
  },
  memory: {
    value: 'SIZE',
    read: orWord('none', bytes),
    byDefault: '512M',
    isLive: true,
    help: 'memory of each tenant, or none',
  },
  cpus: {
    value: 'N',
    read: orWord('none', cores),
    byDefault: '1',
    isLive: true,
    help: 'cores of each tenant, such as 0.5, or none',
  },
  processes: {
    value: 'N',
    read: orWord('none', whole(1, 4_194_304)),
    byDefault: '200',
    isLive: true,
    help: 'processes and threads of each tenant, or none',
  },
  isolation: {
    value: 'HOW',
    read: oneOf(ISOLATIONS),
    words: ISOLATIONS,
    byDefault: 'tenant',
    isLive: true,
    help: 'tenant: walls around each one, or none',
  },
  'user-range': {
    value: 'FIRST:COUNT',
    read: orWord('none', users),
    byDefault: 'none',
    isLive: true,
    help: 'a user of its own for each tenant, where the host is root',
  },
  enforce: {
    value: 'HOW',
    read: oneOf(ENFORCEMENTS),
    words: ENFORCEMENTS,
    byDefault: 'best-effort',
    isLive: true,
    help: 'best-effort: limits and walls as far as this host can; required: else refuses',
  },
  'stop-timeout': {
    value: 'TIME',
    read: duration,
    byDefault: '5s',
    isLive: true,
    help: 'between SIGTERM and SIGKILL',
  },
  'readiness-timeout': {
    value: 'TIME',
    read: someTime(),
    byDefault: '30s',
    isLive: true,
    help: 'for a tenant to answer, from its start',
  },
  'tls-cert': {
    value: 'FILE',
    read: text,
    path: 'file',
    isLive: true,
    help: 'PEM file of the certificate; with it the gateway speaks TLS',
  },
  'tls-key': {
    value: 'FILE',
    read: text,
    path: 'file',
    isLive: true,
    help: 'PEM file of its key',
  },
  trust: {
    value: 'CIDR,…',
    read: networks,
    help: 'proxies whose Forwarded and X-Forwarded-* are believed',
  },
  metrics: {
    value: 'ADDRESS',
    read: orWord('off', address),
    byDefault: 'off',
    help: 'figures for Prometheus, such as 127.0.0.1:9464',
  },
  dashboard: {
    value: 'ADDRESS',
    read: orWord('off', address),
    byDefault: 'off',
    help: 'the page for operators, such as 127.0.0.1:3900',
  },
  name: {
    value: 'NAME',
    read: text,
    help: 'of this host, in ps and on the page; by default that of the directory',
  },
  survive: {
    value: 'NAME',
    read: orWord('off', survivalName),
    byDefault: 'off',
    help: 'tenants outlive this host, and are found by the next one of the name; on: one made of DIR',
  },
  'survive-for': {
    value: 'TIME',
    read: orWord('forever', someTime()),
    byDefault: '1m',
    help: 'how long they wait for it, or forever',
  },
  'take-over': {
    read: yesOrNo,
    help: 'asks a host that has the name to leave its tenants to this one',
  },
  fleet: {
    value: 'URL',
    read: orWord('off', fleetStore),
    byDefault: 'off',
    help: 'serves together with others, which share etcd://HOST:PORT,HOST:PORT/PREFIX',
  },
  'host-id': {
    value: 'NAME',
    read: fleetName,
    help: 'of this host in the fleet; by default that of the machine',
  },
  'host-address': {
    value: 'URL',
    read: fleetAddress,
    help: 'where others of the fleet reach it, such as http://10.0.0.5:7070',
  },
  'fleet-secret-file': {
    value: 'FILE',
    read: text,
    path: 'file',
    help: 'what hosts of the fleet know each other by: 16 bytes or more, the same for all',
  },
  'log-dir': {
    value: 'DIR',
    read: text,
    path: 'directory',
    help: 'keeps what tenants print in files there, too, 1 GiB in all',
  },
};

/** @type {Record<string, Option>} */
export const OPTIONS = {
  ...Object.fromEntries(
    Object.entries(SETTINGS).map(([name, option]) => [name, { ...option, isSetting: true }]),
  ),
  control: {
    value: 'PATH',
    read: text,
    path: 'file',
    isSetting: true,
    help: 'the socket of the host; by default absolute-runtime.sock in $XDG_RUNTIME_DIR',
  },
  config: {
    value: 'FILE',
    read: text,
    path: 'file',
    isVariable: true,
    help: 'by default runtime.config.ts, .js, .mjs or .json in the working directory',
  },
  follow: { short: 'f', help: 'goes on with what comes' },
  since: { value: 'TIME', read: since, help: 'what is no older, such as 10m' },
  // The host says what it understands.
  grep: { value: 'REGEXP', read: text, help: 'lines whose text matches; (?i) ignores case' },
  stream: {
    value: 'NAME',
    read: oneOf(['stdout', 'stderr']),
    words: ['stdout', 'stderr'],
    help: 'only stdout, or only stderr',
  },
  lines: {
    value: 'N',
    read: whole(0, 10_000),
    short: 'n',
    byDefault: '100',
    help: 'how many of the latest',
  },
  state: { value: 'STATE', read: oneOf(STATES), words: STATES, help: 'only tenants in this state' },
  sort: {
    value: 'BY',
    read: oneOf(SORTS),
    words: SORTS,
    byDefault: 'problems',
    help: SORTS.join(', '),
  },
  quiet: { short: 'q', help: 'prints the keys alone' },
  json: { help: 'prints JSON: one value, or a line each with --follow' },
  help: { short: 'h', help: 'prints this' },
};

/** The positional argument of `serve`, which may stand in the environment and the config, too. */
export const DIRECTORY = { read: text, byDefault: 'tenants' };

const PREFIX = 'ABSOLUTE_RUNTIME_';
/** Variables that are no options: the filter of what the addon writes. */
const OTHER_VARIABLES = [`${PREFIX}LOG`];

/** @param {string} name `stop-timeout` @returns {string} `stopTimeout` */
export const configKey = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
/** @param {string} name `stop-timeout` @returns {string} `ABSOLUTE_RUNTIME_STOP_TIMEOUT` */
export const variable = (name) => PREFIX + name.replaceAll('-', '_').toUpperCase();

/** The names of all settings. */
export const settingNames = Object.keys(OPTIONS).filter((name) => OPTIONS[name]?.isSetting);
/** The variables that mean something, and what they set. @type {Map<string, string>} */
export const variables = new Map(
  ['dir', 'config', ...settingNames].map((name) => [variable(name), name]),
);
/** @param {string} name */
export const isOurVariable = (name) => name.startsWith(PREFIX) && !OTHER_VARIABLES.includes(name);
