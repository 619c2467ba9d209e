/** Checks of what the kernel offers and forbids. */
import { note, ok, problem, warning } from './findings.js';
import { isAtLeast } from './programs.js';

/** @typedef {import('./facts.js').Facts} Facts */
/** @typedef {import('./findings.js').Finding} Finding */
/** @typedef {import('./trial.js').Trial} Trial */

/**
 * The first version with `pidfd_open`: a signal through a pidfd never reaches a process that
 * reuses the pid.
 */
const OLDEST_KERNEL = '5.3';
/**
 * The first version with `close_range`: a start closes the descriptors that it inherited with one
 * call.
 */
const CLOSE_RANGE_KERNEL = '5.9';

/** @param {Facts} facts @param {Trial} trial @returns {Finding} */
export function kernel({ machine }, trial) {
  const release = machine.kernelRelease;
  if (release === undefined)
    return note('kernel', 'does not say its version', 'the trial start tells whether it will do');
  if (!isAtLeast(release, OLDEST_KERNEL)) return oldKernel(release, trial);
  if (!isAtLeast(release, CLOSE_RANGE_KERNEL)) {
    const means = `before ${CLOSE_RANGE_KERNEL} it has no close_range, so each start closes descriptors one by one`;
    return note('kernel', `Linux ${release}`, means);
  }
  return ok(
    'kernel',
    `Linux ${release}`,
    'it has everything that is used (pidfd_open, close_range)',
  );
}

/**
 * Some vendors bring new calls to old kernels. @param {string} release @param {Trial} trial
 * @returns {Finding}
 */
function oldKernel(release, trial) {
  const advice = `use Linux ${OLDEST_KERNEL} or newer`;
  if (trial.readyMs !== undefined) {
    const means = `older than ${OLDEST_KERNEL}, but a tenant could be started: its vendor has added what is missing`;
    return warning('kernel', `Linux ${release}`, means, advice);
  }
  return problem(
    'kernel',
    `Linux ${release}`,
    `before ${OLDEST_KERNEL} it has no pidfd_open`,
    advice,
  );
}

/** @param {Facts} facts @param {number} uid @returns {Finding} */
export function procfs({ proc }, uid) {
  if (!proc.isMounted) {
    const means = "a tenant's helpers could not be found, and nothing be measured";
    return problem('/proc', 'is not mounted', means, 'mount it: mount -t proc proc /proc');
  }
  if (proc.hidden !== undefined) {
    const means =
      'processes of other users cannot be seen: a tenant that changes its user is not measured, and its helpers not found';
    const advice =
      "run the host as root, put its group into the mount's gid=, or let tenants keep their user";
    return uid === 0
      ? ok('/proc', `mounted with ${proc.hidden}`, 'root sees all')
      : note('/proc', `mounted with ${proc.hidden}`, means, advice);
  }
  if (!proc.listsChildren) {
    const means =
      'without lists of children (CONFIG_PROC_CHILDREN) every stop looks through all processes: slower, not wrong';
    return note('/proc', 'mounted, without task/*/children', means);
  }
  return ok('/proc', 'mounted, with task/*/children', 'process trees can be seen whole');
}

/**
 * @param {Trial} trial @returns {Finding[]} none when no tenant could be started: then the kernel
 * was not asked
 */
export function sockDiag(trial) {
  if (!trial.asksKernel) {
    const means = 'readiness reads /proc/net instead: tenants are found ready a little later';
    const advice =
      'load the kernel modules inet_diag and tcp_diag, or allow netlink sockets in the sandbox';
    return [note('sock_diag', 'not available', means, advice)];
  }
  if (trial.readyMs === undefined) return [];
  return [ok('sock_diag', 'answers', 'the kernel tells when a port begins to listen')];
}

/** @param {Facts} facts @param {Trial} trial @returns {Finding[]} */
export function restrictions({ process }, trial) {
  const findings = [];
  if (process.hasNoNewPrivileges) {
    findings.push(
      note(
        'privileges',
        'no_new_privs is set',
        'setuid programs (sudo, ping) do not work in tenants',
      ),
    );
  }
  if (!process.hasSeccompFilter)
    findings.push(ok('seccomp', 'no filter', 'every system call is allowed'));
  else if (trial.readyMs !== undefined) {
    findings.push(
      ok(
        'seccomp',
        'a filter is in force',
        'it allows all that a start takes; tenants have it too',
      ),
    );
  } else {
    const means = 'it may be what keeps the trial start from working';
    const advice =
      'allow pidfd_open, pidfd_send_signal, memfd_create, signalfd4, prctl and netlink sockets, then look again';
    findings.push(warning('seccomp', 'a filter is in force', means, advice));
  }
  return findings;
}
