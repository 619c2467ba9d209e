/**
 * Checks of what tenants can be held within: which limits and which walls this host can keep. The
 * reasons are those that `createRuntime` gives when it refuses.
 */
import { note, ok } from './findings.js';

/** @typedef {import('./facts.js').Facts} Facts */
/** @typedef {import('./facts.js').Promised} Promised */
/** @typedef {import('./findings.js').Finding} Finding */

/** What keeps a limit, in words. @type {Record<string, string>} */
const KEEPERS = {
  cgroup2: 'control groups of version 2',
  cgroup1: 'control groups of version 1',
  rlimit: 'limits of each process',
};

/** @param {Facts} facts @returns {Finding[]} */
export function limits({ confinement }) {
  const kept = confinement.limits.filter(({ why }) => why === undefined);
  const broken = notKept('limits', confinement.limits);
  if (broken.length > 0 && kept.length === 0) return broken;
  const keepers = [...new Set(kept.map(({ by = '' }) => KEEPERS[by] ?? by))];
  const means = `kept by ${keepers.join(' and ')}`;
  return [ok('limits', kept.map(({ name }) => name).join(', '), means), ...broken];
}

/** @param {Facts} facts @param {number} uid @returns {Finding[]} */
export function walls({ confinement }, uid) {
  const { landlock, refusesSystemCalls, missing, users } = confinement;
  const parts = [
    landlock === undefined ? [] : `Landlock ${landlock}`,
    refusesSystemCalls ? 'seccomp' : [],
  ].flat();
  const broken = notKept('isolation', missing);
  const whole =
    broken.length === 0 ? [ok('isolation', parts.join(', '), 'all its promises hold')] : [];
  return [...whole, ...broken, user(users, landlock, uid)];
}

/** From this version on Landlock keeps tenants from sockets that have a path. */
const LANDLOCK_OF_PATH_SOCKETS = 9;

/** @param {Promised} users @param {number | undefined} landlock @param {number} uid @returns {Finding} */
function user({ why, change }, landlock = 0, uid) {
  if (why !== undefined) return note('isolation.user', 'cannot be given', why, change);
  const means = 'each tenant can run as a user of its own';
  if (uid !== 0 || landlock >= LANDLOCK_OF_PATH_SOCKETS)
    return ok('isolation.user', 'can be given', means);
  return note(
    'isolation.user',
    'can be given',
    `${means}; without one it can connect to the sockets of root, such as a container engine's, from ` +
      `within its walls, too: these keep it from sockets with a path only with Landlock ${LANDLOCK_OF_PATH_SOCKETS}`,
    'isolation: { user: { first: 20000, count: 10000 } }, with numbers that nothing else uses',
  );
}

/**
 * One finding for each reason. @param {string} option @param {Promised[]} promises @returns
 * {Finding[]}
 */
function notKept(option, promises) {
  const broken = promises.filter(({ why }) => why !== undefined);
  const reasons = [...new Set(broken.map(({ why }) => why))];
  return reasons.map((reason) => {
    const same = broken.filter(({ why }) => why === reason);
    const names = same.map(({ name }) => name).join(', ');
    return note(option, `${names} cannot be kept`, reason ?? '', same[0]?.change);
  });
}
