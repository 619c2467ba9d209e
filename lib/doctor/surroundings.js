/**
 * Checks of where the host runs: its user, its container, its proxy, and the first process (PID
 * 1).
 */
import { note, ok, warning } from './findings.js';

/** @typedef {import('./facts.js').Facts} Facts */
/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('./findings.js').Finding} Finding */

/** How long an init may take to reap a process that has ended. */
const REAPING_MS = 200;
/**
 * Names of first processes that are no init: programs that do not reap the processes that they
 * inherit.
 */
const NO_INIT = /^(?:node|bun|deno|npm|npx|bunx)\b/;

/** @param {Host} host @returns {Finding} */
export function user(host) {
  if (host.uid !== 0) return ok('user', `uid ${host.uid}`, 'tenants run as this user too');
  const means = "tenants run as root too: other people's code may then do anything on this machine";
  return warning(
    'user',
    'root',
    means,
    'run the host as a user of its own (User= of a systemd unit, USER of an image), or give each tenant one: isolation: { user: { first, count } }',
  );
}

/**
 * Bun's `fetch` uses the environment's proxy even for 127.0.0.1, so a router's requests would
 * leave the machine, with their cookies. The lower-case names take precedence.
 *
 * @param {Host} host
 * @returns {Finding[]}
 */
export function proxy({ env }) {
  const name = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'].find((name) => env[name]);
  if (name === undefined) return [];
  const exceptions = (env.no_proxy || env.NO_PROXY || '').split(',').map((host) => host.trim());
  if (exceptions.includes('127.0.0.1') || exceptions.includes('*')) {
    return [
      ok('proxy', `${name} is set, 127.0.0.1 excepted`, 'requests to tenants go to them directly'),
    ];
  }
  const means =
    "Bun's fetch sends what is meant for tenants to it, cookies included, unless it is told not to";
  const advice = 'set no_proxy to 127.0.0.1,[::1], in the host itself or around it';
  return [warning('proxy', `${name} is set`, means, advice)];
}

/** @param {Host} host @param {Facts | undefined} facts @returns {Finding} */
export function container(host, facts) {
  const kind = containerKind(host, facts);
  if (kind === undefined)
    return ok('container', 'none seen', 'limits are those of this machine and of its services');
  return note(
    'container',
    kind,
    'limits above are those inside; what is set outside may be narrower',
  );
}

/** @param {Host} host @param {Facts | undefined} facts @returns {string | undefined} */
function containerKind({ env, exists }, facts) {
  if (env.KUBERNETES_SERVICE_HOST) return 'Kubernetes';
  if (exists('/.dockerenv')) return 'Docker';
  if (exists('/run/.containerenv')) return 'Podman';
  if (env.container) return env.container;
  return /docker|kubepods|containerd|libpod|lxc/.exec(facts?.init.groups.join('\n') ?? '')?.[0];
}

/**
 * The first process matters only once the host is gone: it must reap what is left.
 *
 * @param {Facts} facts
 * @param {Host} host
 * @returns {Promise<Finding>}
 */
export async function firstProcess({ init }, host) {
  const { name } = init;
  const unreaped = await unreapedByInit(init, host);
  const advice = 'start the container with an init (docker run --init, or tini as its entry point)';
  if (unreaped > 0) {
    const means =
      'it does not reap the processes that it inherits; each keeps a place in the process table';
    return warning('PID 1', `${name}, with ${unreaped} ended processes unreaped`, means, advice);
  }
  if (name !== undefined && NO_INIT.test(name)) {
    const means = 'no init: processes that outlive their parents would never be reaped';
    return warning('PID 1', name, means, advice);
  }
  return ok('PID 1', name ?? 'cannot be seen', 'no ended process is left unreaped');
}

/**
 * The zombies of the first process that are there at both of two looks. @param {Facts['init']}
 * init
 * @param {Host} host
 */
async function unreapedByInit({ unreaped }, host) {
  if (unreaped.length === 0) return 0;
  await host.pause(REAPING_MS);
  const later = new Set(host.facts()?.init.unreaped);
  return unreaped.filter((pid) => later.has(pid)).length;
}

/** @param {Facts} facts @returns {Finding[]} */
export function temporary({ temporary }) {
  if (!temporary?.isNoexec) return [];
  const means =
    'no program runs and no library loads from there: one that `bun build --compile` made unpacks its addons there';
  const advice = 'set TMPDIR, of the host or of tenants, to a directory where programs may run';
  return [note('temporary files', `${temporary.path} is mounted noexec`, means, advice)];
}
