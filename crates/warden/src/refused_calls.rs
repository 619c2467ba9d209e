//! The system calls that walls refuse: what no web app needs of the kernel. A call that is not
//! listed is allowed.
//!
//! Most of them need privileges that a program within walls does not have anyway. They are listed
//! all the same: a mistake in one of these calls has again and again been the way out of a
//! sandbox, and a filter in front of them cannot be affected by it.
//!
//! A call is answered by `EPERM`, like one that needs privileges; by `ENOSYS` where programs do
//! without the call on kernels that lack it.

use libc::{ENOPROTOOPT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, c_int, c_long};

const ENOSYS: c_int = libc::ENOSYS;

/// A call that is refused, always or with some arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedCall {
    /// Its name.
    pub name: &'static str,
    /// Its number on this architecture.
    pub number: u32,
    /// The error that it is answered with.
    pub errno: c_int,
    /// It is refused if all of these hold: always, if there are none.
    pub when: &'static [Test],
    /// Why.
    pub reason: &'static str,
}

/// Something that may hold of an argument. Of each argument the low 32 bits count: those of the
/// kernel that are tested here have no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Which argument, counted from 0.
    pub argument: u8,
    /// The bits of it that count.
    pub mask: u32,
    /// Whether it holds if the argument is one of the values, or if it is none of them.
    pub is_one: bool,
    /// The values.
    pub values: &'static [u32],
}

const fn is_one_of(argument: u8, values: &'static [u32]) -> Test {
    Test { argument, mask: u32::MAX, is_one: true, values }
}

const fn is_none_of(argument: u8, values: &'static [u32]) -> Test {
    Test { argument, mask: u32::MAX, is_one: false, values }
}

const fn has_any(argument: u8, bits: u32) -> Test {
    Test { argument, mask: bits, is_one: false, values: &[0] }
}

const fn masked(mask: u32, test: Test) -> Test {
    Test { mask, ..test }
}

const fn refuse(
    name: &'static str,
    number: c_long,
    errno: c_int,
    when: &'static [Test],
    reason: &'static str,
) -> RefusedCall {
    RefusedCall { name, number: number as u32, errno, when, reason }
}

const ALWAYS: &[Test] = &[];

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID` and `NEWNET`.
const NEW_NAMESPACES: u32 = 0x7e02_0000;

const INET: u32 = libc::AF_INET as u32;
const INET6: u32 = libc::AF_INET6 as u32;
const NETLINK: u32 = libc::AF_NETLINK as u32;
const FAMILIES: &[u32] = &[libc::AF_UNIX as u32, INET, INET6, NETLINK];

/// The bits of a socket's type without its flags.
const SOCKET_TYPE: u32 = 0xf;
const STREAM_OR_DATAGRAM: &[u32] = &[libc::SOCK_STREAM as u32, libc::SOCK_DGRAM as u32];

/// Unspecified, ICMP (as `ping` without privileges), TCP, UDP, ICMPv6.
const PROTOCOLS: &[u32] = &[0, 1, 6, 17, 58];

/// Connects and sends at once.
const FAST_OPEN: u32 = libc::MSG_FASTOPEN as u32;
/// Not yet in the C library's names.
const IP_LOCAL_PORT_RANGE: u32 = 51;

/// `TIOCSTI`, `TIOCLINUX`, `TIOCSETD`: the numbers are those of x86-64 and arm64.
const TERMINAL_REQUESTS: &[u32] = &[0x5412, 0x541c, 0x5423];

/// The bits of a mode that say what kind of file it is of, and two of these kinds.
const FILE_KIND: u32 = 0o170_000;
const DEVICES: &[u32] = &[0o020_000, 0o060_000];

/// Kind and number of a request of a file system; the other bits say how large its argument is.
const REQUEST: u32 = 0xffff;
/// Flags (`FS_IOC_SETFLAGS`, `FSSETXATTR`), generation, encryption and verity of a file.
const ATTRIBUTE_REQUESTS: &[u32] = &[0x6602, 0x5820, 0x6604, 0x6613, 0x6685];
/// Snapshots and subvolumes of btrfs (`SNAP_CREATE`, `SUBVOL_CREATE`, `SNAP_DESTROY`,
/// `SUBVOL_SETFLAGS`, and the second versions of the first three).
const SUBVOLUME_REQUESTS: &[u32] = &[0x9401, 0x940e, 0x940f, 0x941a, 0x9417, 0x9418, 0x943f];

const TCP: u32 = libc::IPPROTO_TCP as u32;
/// `TCP_ULP`.
const UPPER_PROTOCOL: u32 = 31;

/// Not yet in the C library's names: like `F_SETLEASE`, of a directory.
const SET_DELEGATION: u32 = 1_040;

/// As it is, 32 bit, the version number of Linux 2.6, both, and the question which one it is.
const PERSONALITIES: &[u32] = &[0, 8, 0x2_0000, 0x2_0008, u32::MAX];

const IO_URING: &str = "runs other calls past every filter";
const NAMESPACE: &str =
    "a new namespace gives privileges, and makes the kernel's rarest paths reachable";
const MOUNTS: &str = "changes what paths mean";
const OTHERS_MEMORY: &str = "reads or writes another process";
const OTHERS_PRIORITY: &str = "changes another process of the same user: Landlock does not see it";
const CONNECTS: &str =
    "connects past Landlock, which sees `connect` only; programs fall back to it";
const KEYS: &str = "the kernel's keys belong to a user, not to a tenant";
const SYSTEM_V: &str =
    "has no path, belongs to a user and not to a tenant, and outlives it with all its memory";
const ATTRIBUTES: &str =
    "changes a file that is open for reading, which Landlock does not see; programs do without";
const MODULES: &str = "loads code into the kernel";
const MACHINE: &str = "is about the whole machine";
const CLOCK: &str = "sets the clock of the whole machine";
const PLACEMENT: &str = "places memory on nodes, by code that programs rarely reach";
const HARDWARE: &str = "gives access to hardware";

/// The list.
pub const REFUSED_CALLS: &[RefusedCall] = &[
    // Answered as by a kernel without it, so that programs do without.
    refuse("io_uring_setup", libc::SYS_io_uring_setup, ENOSYS, ALWAYS, IO_URING),
    refuse("io_uring_enter", libc::SYS_io_uring_enter, ENOSYS, ALWAYS, IO_URING),
    refuse("io_uring_register", libc::SYS_io_uring_register, ENOSYS, ALWAYS, IO_URING),
    refuse("clone3", libc::SYS_clone3, ENOSYS, ALWAYS, "a filter cannot see its flags; clone does"),
    // Namespaces and mounts.
    refuse("clone", libc::SYS_clone, EPERM, &[has_any(0, NEW_NAMESPACES)], NAMESPACE),
    refuse("unshare", libc::SYS_unshare, EPERM, ALWAYS, NAMESPACE),
    refuse("setns", libc::SYS_setns, EPERM, ALWAYS, "enters the namespaces of others"),
    refuse("mount", libc::SYS_mount, EPERM, ALWAYS, MOUNTS),
    refuse("umount2", libc::SYS_umount2, EPERM, ALWAYS, MOUNTS),
    refuse("pivot_root", libc::SYS_pivot_root, EPERM, ALWAYS, MOUNTS),
    refuse("chroot", libc::SYS_chroot, EPERM, ALWAYS, MOUNTS),
    refuse("move_mount", libc::SYS_move_mount, EPERM, ALWAYS, MOUNTS),
    refuse("open_tree", libc::SYS_open_tree, EPERM, ALWAYS, MOUNTS),
    // Its number, as of those without a name in the C library, is the same on every architecture.
    refuse("open_tree_attr", 467, EPERM, ALWAYS, MOUNTS),
    refuse("mount_setattr", libc::SYS_mount_setattr, EPERM, ALWAYS, MOUNTS),
    refuse("fsopen", libc::SYS_fsopen, EPERM, ALWAYS, MOUNTS),
    refuse("fsconfig", libc::SYS_fsconfig, EPERM, ALWAYS, MOUNTS),
    refuse("fsmount", libc::SYS_fsmount, EPERM, ALWAYS, MOUNTS),
    refuse("fspick", libc::SYS_fspick, EPERM, ALWAYS, MOUNTS),
    // Files.
    refuse(
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        EPERM,
        ALWAYS,
        "opens a file without a path",
    ),
    refuse(
        "mknodat",
        libc::SYS_mknodat,
        EPERM,
        &[masked(FILE_KIND, is_one_of(2, DEVICES))],
        "makes a device",
    ),
    #[cfg(target_arch = "x86_64")]
    refuse(
        "mknod",
        libc::SYS_mknod,
        EPERM,
        &[masked(FILE_KIND, is_one_of(1, DEVICES))],
        "makes a device",
    ),
    refuse(
        "fanotify_init",
        libc::SYS_fanotify_init,
        EPERM,
        ALWAYS,
        "watches files of others; inotify is allowed",
    ),
    refuse(
        "fcntl",
        libc::SYS_fcntl,
        EPERM,
        &[is_one_of(1, &[libc::F_SETLEASE as u32])],
        "a lease keeps all others from opening a file of the same user's, or as root the system's",
    ),
    refuse(
        "fcntl",
        libc::SYS_fcntl,
        EPERM,
        &[is_one_of(1, &[SET_DELEGATION])],
        "keeps all others from changing a directory",
    ),
    refuse(
        "ioctl",
        libc::SYS_ioctl,
        libc::ENOTTY,
        &[masked(REQUEST, is_one_of(1, ATTRIBUTE_REQUESTS))],
        ATTRIBUTES,
    ),
    refuse(
        "ioctl",
        libc::SYS_ioctl,
        libc::ENOTTY,
        &[masked(REQUEST, is_one_of(1, SUBVOLUME_REQUESTS))],
        "a snapshot holds what its neighbours have in the same subvolume",
    ),
    // The same by a path that need not be open. It has no name in the C library.
    refuse("file_setattr", 469, EPERM, ALWAYS, ATTRIBUTES),
    refuse("quotactl", libc::SYS_quotactl, EPERM, ALWAYS, MACHINE),
    refuse("quotactl_fd", libc::SYS_quotactl_fd, EPERM, ALWAYS, MACHINE),
    refuse("nfsservctl", libc::SYS_nfsservctl, EPERM, ALWAYS, MACHINE),
    refuse("lookup_dcookie", libc::SYS_lookup_dcookie, EPERM, ALWAYS, "tells paths of others"),
    // Other processes.
    refuse("ptrace", libc::SYS_ptrace, EPERM, ALWAYS, OTHERS_MEMORY),
    refuse("process_vm_readv", libc::SYS_process_vm_readv, EPERM, ALWAYS, OTHERS_MEMORY),
    refuse("process_vm_writev", libc::SYS_process_vm_writev, EPERM, ALWAYS, OTHERS_MEMORY),
    refuse("process_madvise", libc::SYS_process_madvise, EPERM, ALWAYS, OTHERS_MEMORY),
    refuse("process_mrelease", libc::SYS_process_mrelease, EPERM, ALWAYS, OTHERS_MEMORY),
    refuse("pidfd_getfd", libc::SYS_pidfd_getfd, EPERM, ALWAYS, "takes descriptors of another"),
    refuse("kcmp", libc::SYS_kcmp, EPERM, ALWAYS, "tells what other processes share"),
    refuse("prlimit64", libc::SYS_prlimit64, EPERM, &[is_none_of(0, &[0])], OTHERS_PRIORITY),
    refuse("setpriority", libc::SYS_setpriority, EPERM, &[is_none_of(0, &[0])], OTHERS_PRIORITY),
    refuse("setpriority", libc::SYS_setpriority, EPERM, &[is_none_of(1, &[0])], OTHERS_PRIORITY),
    // 1 is `IOPRIO_WHO_PROCESS`; others name groups and users.
    refuse("ioprio_set", libc::SYS_ioprio_set, EPERM, &[is_none_of(0, &[1])], OTHERS_PRIORITY),
    refuse("ioprio_set", libc::SYS_ioprio_set, EPERM, &[is_none_of(1, &[0])], OTHERS_PRIORITY),
    refuse(
        "sched_setaffinity",
        libc::SYS_sched_setaffinity,
        EPERM,
        &[is_none_of(0, &[0])],
        OTHERS_PRIORITY,
    ),
    refuse(
        "sched_setscheduler",
        libc::SYS_sched_setscheduler,
        EPERM,
        &[is_none_of(0, &[0])],
        OTHERS_PRIORITY,
    ),
    refuse(
        "sched_setparam",
        libc::SYS_sched_setparam,
        EPERM,
        &[is_none_of(0, &[0])],
        OTHERS_PRIORITY,
    ),
    refuse(
        "sched_setattr",
        libc::SYS_sched_setattr,
        EPERM,
        &[is_none_of(0, &[0])],
        OTHERS_PRIORITY,
    ),
    // Memory.
    refuse(
        "userfaultfd",
        libc::SYS_userfaultfd,
        EPERM,
        ALWAYS,
        "stops the kernel in the middle of a call, which exploits need",
    ),
    refuse("mbind", libc::SYS_mbind, EPERM, ALWAYS, PLACEMENT),
    refuse("set_mempolicy", libc::SYS_set_mempolicy, EPERM, ALWAYS, PLACEMENT),
    refuse("set_mempolicy_home_node", libc::SYS_set_mempolicy_home_node, EPERM, ALWAYS, PLACEMENT),
    refuse("migrate_pages", libc::SYS_migrate_pages, EPERM, ALWAYS, PLACEMENT),
    refuse("move_pages", libc::SYS_move_pages, EPERM, ALWAYS, PLACEMENT),
    #[cfg(target_arch = "x86_64")]
    refuse("modify_ldt", libc::SYS_modify_ldt, EPERM, ALWAYS, "is of use to 16-bit programs only"),
    refuse(
        "personality",
        libc::SYS_personality,
        EPERM,
        &[is_none_of(0, PERSONALITIES)],
        "turns off what makes memory hard to attack",
    ),
    #[cfg(target_arch = "x86_64")]
    refuse("uselib", libc::SYS_uselib, EPERM, ALWAYS, "is of use to programs of 1995 only"),
    // What processes share by numbers and names of their own.
    refuse("shmget", libc::SYS_shmget, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("shmat", libc::SYS_shmat, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("shmctl", libc::SYS_shmctl, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("semget", libc::SYS_semget, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("semop", libc::SYS_semop, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("semtimedop", libc::SYS_semtimedop, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("semctl", libc::SYS_semctl, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("msgget", libc::SYS_msgget, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("msgsnd", libc::SYS_msgsnd, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("msgrcv", libc::SYS_msgrcv, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("msgctl", libc::SYS_msgctl, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("mq_open", libc::SYS_mq_open, ENOSYS, ALWAYS, SYSTEM_V),
    refuse("mq_unlink", libc::SYS_mq_unlink, ENOSYS, ALWAYS, SYSTEM_V),
    // The network.
    refuse(
        "socket",
        libc::SYS_socket,
        EPERM,
        &[is_none_of(0, FAMILIES)],
        "other families are no network of a web app, and their code is rarely looked at",
    ),
    refuse(
        "socket",
        libc::SYS_socket,
        EPERM,
        &[is_one_of(0, &[NETLINK]), is_none_of(2, &[0])],
        "netlink configures the kernel; NETLINK_ROUTE tells the addresses of the machine",
    ),
    refuse(
        "socket",
        libc::SYS_socket,
        EPERM,
        &[is_one_of(0, &[INET, INET6]), masked(SOCKET_TYPE, is_none_of(1, STREAM_OR_DATAGRAM))],
        "raw sockets read and forge what others send",
    ),
    refuse(
        "socket",
        libc::SYS_socket,
        EPROTONOSUPPORT,
        &[is_one_of(0, &[INET, INET6]), is_none_of(2, PROTOCOLS)],
        "Landlock does not see ports of MPTCP, SCTP and SMC; programs fall back to TCP",
    ),
    refuse("sendto", libc::SYS_sendto, EOPNOTSUPP, &[has_any(3, FAST_OPEN)], CONNECTS),
    refuse("sendmsg", libc::SYS_sendmsg, EOPNOTSUPP, &[has_any(2, FAST_OPEN)], CONNECTS),
    refuse("sendmmsg", libc::SYS_sendmmsg, EOPNOTSUPP, &[has_any(3, FAST_OPEN)], CONNECTS),
    refuse(
        "setsockopt",
        libc::SYS_setsockopt,
        ENOPROTOOPT,
        &[is_one_of(1, &[0]), is_one_of(2, &[IP_LOCAL_PORT_RANGE])],
        "chooses the port of a `listen` without `bind`, which Landlock does not see",
    ),
    refuse(
        "setsockopt",
        libc::SYS_setsockopt,
        ENOPROTOOPT,
        &[is_one_of(1, &[TCP]), is_one_of(2, &[UPPER_PROTOCOL])],
        "makes it a socket of SMC, whose ports Landlock does not see, or has the kernel do TLS",
    ),
    refuse(
        "socketpair",
        libc::SYS_socketpair,
        EPERM,
        &[is_none_of(0, &[libc::AF_UNIX as u32])],
        "only local sockets make pairs",
    ),
    refuse(
        "ioctl",
        libc::SYS_ioctl,
        EPERM,
        &[is_one_of(1, TERMINAL_REQUESTS)],
        "types into a terminal, or has it load code for modems",
    ),
    // The kernel.
    refuse("bpf", libc::SYS_bpf, EPERM, ALWAYS, MODULES),
    refuse("init_module", libc::SYS_init_module, EPERM, ALWAYS, MODULES),
    refuse("finit_module", libc::SYS_finit_module, EPERM, ALWAYS, MODULES),
    refuse("delete_module", libc::SYS_delete_module, EPERM, ALWAYS, MODULES),
    refuse("kexec_load", libc::SYS_kexec_load, EPERM, ALWAYS, MODULES),
    refuse("kexec_file_load", libc::SYS_kexec_file_load, EPERM, ALWAYS, MODULES),
    refuse("perf_event_open", libc::SYS_perf_event_open, EPERM, ALWAYS, "measures other processes"),
    refuse("add_key", libc::SYS_add_key, EPERM, ALWAYS, KEYS),
    refuse("request_key", libc::SYS_request_key, EPERM, ALWAYS, KEYS),
    refuse("keyctl", libc::SYS_keyctl, EPERM, ALWAYS, KEYS),
    refuse("syslog", libc::SYS_syslog, EPERM, ALWAYS, "reads the kernel's messages"),
    refuse("reboot", libc::SYS_reboot, EPERM, ALWAYS, MACHINE),
    refuse("swapon", libc::SYS_swapon, EPERM, ALWAYS, MACHINE),
    refuse("swapoff", libc::SYS_swapoff, EPERM, ALWAYS, MACHINE),
    refuse("acct", libc::SYS_acct, EPERM, ALWAYS, MACHINE),
    refuse("sethostname", libc::SYS_sethostname, EPERM, ALWAYS, MACHINE),
    refuse("setdomainname", libc::SYS_setdomainname, EPERM, ALWAYS, MACHINE),
    refuse("vhangup", libc::SYS_vhangup, EPERM, ALWAYS, "hangs up a terminal"),
    refuse("settimeofday", libc::SYS_settimeofday, EPERM, ALWAYS, CLOCK),
    refuse("clock_settime", libc::SYS_clock_settime, EPERM, ALWAYS, CLOCK),
    refuse("clock_adjtime", libc::SYS_clock_adjtime, EPERM, ALWAYS, CLOCK),
    refuse("adjtimex", libc::SYS_adjtimex, EPERM, ALWAYS, CLOCK),
    #[cfg(target_arch = "x86_64")]
    refuse("iopl", libc::SYS_iopl, EPERM, ALWAYS, HARDWARE),
    #[cfg(target_arch = "x86_64")]
    refuse("ioperm", libc::SYS_ioperm, EPERM, ALWAYS, HARDWARE),
];
