// The first program of the machine, a shell script: sets the machine up, and runs the tests.
import { commandOf, PATIENCE_MS } from './plan.mjs';

/** @typedef {import('./plan.mjs').Run} Run */

/** Begins the lines that are not output of a test. */
export const MARK = '@@vm';

/** Where the checkout is in the machine. */
export const CHECKOUT = '/runtime';

/** The user that is not root, and the control group that it may do as it likes in. */
export const USER = { name: 'app', id: 1000 };
const DELEGATED = '/sys/fs/cgroup/delegated';

/**
 * Modules of the kernel: sock_diag tells of TCP sockets with the first two, and of UDP with the third; zram is memory that is
 * swapped to. In older kernels it asks for the module that compresses, which is answered by no
 * program here.
 */
const MODULES = ['inet_diag', 'tcp_diag', 'udp_diag', 'zram'];
const OF_OLDER_KERNELS = 'lzo-rle';

/**
 * Output goes through one pipe, so that no program takes the console for a terminal; and what a
 * test leaves behind can hold only the writing end of it.
 *
 * @param {readonly Run[]} runs
 * @param {string} facts the program that prints what kind of machine it is, in the checkout
 */
export function initScript(runs, facts) {
  const all = runs.map((run, index) => ({ ...run, index }));
  const parts = (/** @type {typeof all} */ some) => some.map(runLine).join('\n');
  return `#!/bin/busybox sh
/bin/busybox mkdir /busybox
/bin/busybox --install -s /busybox
export PATH=${CHECKOUT}/node_modules/.bin:/usr/bin:/bin:/usr/sbin:/sbin:/busybox NO_COLOR=1 TEST_PATIENCE_MS=${PATIENCE_MS}
export no_proxy=127.0.0.1,localhost,[::1]
chmod 755 /
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /run
mount -t devpts pts /dev/pts
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t securityfs security /sys/kernel/security
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
ip link set lo up
mkfifo /output
cat /output >/dev/console &
exec >/output 2>&1 </dev/null
ulimit -n 1024

# As a service manager delegates a part: the controllers in it, and the files that say who is in it.
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
  echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
mkdir ${DELEGATED}
for file in '' /cgroup.procs /cgroup.threads /cgroup.subtree_control; do
  chown ${USER.id}:${USER.id} ${DELEGATED}$file
done

as_root() { HOME=/root USER=root /usr/bin/timeout -s KILL "$1" sh -c "$2"; }
as_user() {
  echo 0 >${DELEGATED}/cgroup.procs
  export HOME=/users/${USER.name} USER=${USER.name}
  exec /usr/bin/timeout -s KILL "$1" /usr/bin/setpriv --reuid=${USER.id} --regid=${USER.id} --clear-groups sh -c "$2"
}
# What must be gone once a host has ended: its control groups, and what it did to its own.
left() {
  find /sys/fs/cgroup -mindepth 1 -type d ! -path ${DELEGATED}
  cat ${DELEGATED}/cgroup.procs ${DELEGATED}/cgroup.subtree_control
}
expect_nothing_left() { # number
  for second in 1 2 3 4 5 6 7 8 9 10; do
    [ -z "$(left)" ] && return
    sleep 1
  done
  echo "${MARK} problem after run $1 there still is in control groups:" $(left)
}
now() { cut -d ' ' -f 1 /proc/uptime; }
run() { # number user seconds command
  began=$(now)
  echo "${MARK} start $1"
  ( "as_$2" "$3" "$4" )
  code=$?
  # What a test prints last may be no whole line.
  echo
  echo "${MARK} end $1 $code $began $(now)"
  expect_nothing_left "$1"
}

cd ${CHECKOUT}
${parts(all.filter(({ beforeModules }) => beforeModules))}
depmod 2>/dev/null
modprobe ${OF_OLDER_KERNELS} 2>/dev/null
for module in ${MODULES.join(' ')}; do modprobe $module || echo "${MARK} problem no module $module"; done
echo 1G >/sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0 ||
  echo "${MARK} problem no swap in zram"
echo "${MARK} facts $(bun ${facts})"
${parts(all.filter(({ beforeModules }) => !beforeModules))}
echo "${MARK} done"
while :; do sleep 60; done
`;
}

/** @param {Run & { index: number }} run */
function runLine(run) {
  return `run ${run.index} ${run.user} ${run.atMostSeconds} '${commandOf(run).replaceAll("'", `'\\''`)}'`;
}
