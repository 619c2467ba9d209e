/**
 * Checks of the programs: the platform, the addon, the warden, the engine, Bun for the tenants,
 * and a tenant that is really started.
 */
import { note, ok, problem, warning } from './findings.js';
import { TRIAL_SERVER } from './trial.js';

/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('./findings.js').Finding} Finding */
/** @typedef {import('./trial.js').Trial} Trial */

const OLDEST_NODE = '20.0.0';
const OLDEST_BUN = '1.3.0';
/** Directories that package runners (`bunx --bun` included) put on PATH only while they run. */
const PASSING_DIRECTORY = /\/node_modules\/|\/bun-node-/;

/** @param {Host} host @returns {Finding} */
export function platform(host) {
  if (host.platform !== 'linux') {
    const means =
      'the package can be imported here, but createRuntime throws ERR_RUNTIME_UNSUPPORTED';
    return problem(
      'platform',
      `${host.platform} ${host.arch}`,
      means,
      'run it on Linux, in a container or a VM',
    );
  }
  return ok('platform', `Linux ${host.arch}, ${libc(host)}`, 'the package runs on Linux');
}

/** The C library that this process is linked with. @param {Host} host */
function libc(host) {
  const maps = host.read('/proc/self/maps') ?? '';
  if (maps.includes('/ld-musl-')) return 'musl';
  return /\/(?:libc[.-]|ld-linux)/.test(maps) ? 'glibc' : 'unknown C library';
}

/** @param {Host} host @returns {Finding} */
export function engine(host) {
  const { nodeVersion, bunVersion } = host;
  const [name, version, oldest] = bunVersion
    ? /** @type {const} */ (['Bun', bunVersion, OLDEST_BUN])
    : /** @type {const} */ (['Node', nodeVersion, OLDEST_NODE]);
  const found = `${name} ${version}`;
  if (isAtLeast(version, oldest)) return ok('engine', found, 'it can be the host');
  const means = `older than ${name} ${oldest}, so the package does not run in it; nothing else was looked at`;
  return problem('engine', found, means, `update ${name}`);
}

/**
 * The addon and, if it loads, the warden beside it.
 *
 * @param {Host} host
 * @returns {Finding[]}
 */
export function addon(host) {
  let wardenPath;
  try {
    ({ wardenPath } = host.loadAddon());
  } catch (error) {
    const { message, cause } =
      error instanceof Error ? error : { message: String(error), cause: undefined };
    const reason =
      cause instanceof Error ? firstLine(cause.message) : 'createRuntime would throw the same';
    const advice =
      'install the package again on this machine, without --omit=optional and without --cpu, --os or --libc';
    return [problem('addon', message, reason, advice)];
  }
  return [ok('addon', 'loads', 'the native part fits this machine'), warden(host, wardenPath)];
}

/** @param {Host} host @param {string} path @returns {Finding} */
function warden(host, path) {
  if (!host.exists(path)) {
    return problem(
      'warden',
      `${path} is missing`,
      'nothing can start tenants',
      'install the package again',
    );
  }
  if (!host.isExecutable(path)) {
    const advice = `chmod +x ${path}; if that does not help, its file system is mounted noexec`;
    return problem('warden', `${path} may not be executed`, 'nothing can start tenants', advice);
  }
  return ok(
    'warden',
    'is executable',
    'it is the small process that starts tenants and clears up after them',
  );
}

/** @param {Host} host @returns {Finding} */
export function bun(host) {
  const path = which(host, 'bun');
  if (path === undefined) return withoutBun(host);
  const version = host.outputOf(path, ['--version']);
  const found = `${path}, ${version ?? 'which does not say its version'}`;
  if (version === undefined || !isAtLeast(version, OLDEST_BUN)) {
    const means = `tenants run \`bun run start\`, and this Bun is not known to work`;
    return warning('bun', found, means, `update Bun to ${OLDEST_BUN} or newer`);
  }
  if (PASSING_DIRECTORY.test(path)) {
    const means = 'npx, bunx and package scripts put it on PATH; a service may not have it there';
    return note('bun', found, means, "see that the service's own PATH leads to a bun");
  }
  return ok('bun', found, 'tenants are started with `bun run start`');
}

/** @param {Host} host @returns {Finding} */
function withoutBun(host) {
  if (host.bunVersion !== undefined) {
    const means = `tenants are started with the host's own Bun, ${host.bunVersion}`;
    return note('bun', 'not on PATH', means);
  }
  const means = 'tenants are started with `bun run start`, which fails';
  const advice =
    'install Bun and put it on the PATH of the host, or give the option `command` or `spawn`';
  return problem('bun', 'not on PATH', means, advice);
}

/**
 * Starts a tenant in the usual way or, without Bun, with this engine. @param {Host} host
 */
export function tryTenant(host) {
  const hasBun = host.bunVersion !== undefined || which(host, 'bun') !== undefined;
  return host.startTenant(hasBun ? undefined : [host.execPath, TRIAL_SERVER]);
}

/** @param {Trial} trial @returns {Finding} */
export function trialStart({ readyMs, failure }) {
  if (readyMs !== undefined) {
    const found = `a tenant answered ${readyMs.toFixed(0)} ms after it was asked for, and stopped`;
    return ok('trial start', found, 'everything between this host and a tenant works');
  }
  const means = 'a tenant of one small server could not be started';
  return problem(
    'trial start',
    failure ?? 'failed',
    means,
    'see to the other findings first; they may be the reason',
  );
}

/** The absolute path of a program on PATH. @param {Host} host @param {string} program */
function which(host, program) {
  const directories = (host.env.PATH ?? '')
    .split(':')
    .filter((directory) => directory.startsWith('/'));
  return directories
    .map((directory) => `${directory}/${program}`)
    .find((path) => host.isExecutable(path));
}

/** Compares `major.minor.patch`. @param {string} version @param {string} oldest */
export function isAtLeast(version, oldest) {
  const [given, least] = [version, oldest].map((text) =>
    text.split(/[.+-]/, 3).map((part) => parseInt(part, 10) || 0),
  );
  for (const [index, part] of (least ?? []).entries()) {
    const difference = (given?.[index] ?? 0) - part;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** @param {string} text */
const firstLine = (text) => text.split('\n', 1)[0] ?? '';
