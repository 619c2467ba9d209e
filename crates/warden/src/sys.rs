//! System calls without a safe wrapper. All `unsafe` of the warden is in this file, and that of
//! its walls in `walls/sys.rs`.
//!
//! The warden and its keepers have exactly one thread each, which makes forking without executing
//! sound: the child may do whatever the parent could.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use rustix::io::Errno;
use rustix::process::Pid;

/// The exit status of a keeper or a tenant that panicked.
const PANIC_STATUS: i32 = 101;

/// Forks a child process that runs `child` and nothing else: what the caller holds is not dropped
/// in the child, and not even a panic returns into the caller's frames.
pub fn fork_into(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    // SAFETY: the process has a single thread, so the child's memory, locks included, is in a
    // usable state.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        exit_now(catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANIC_STATUS));
    }
    child_id(pid).ok_or_else(last_errno)
}

/// Goes on in a child, which nobody has as its child once this process has ended: that runs
/// `parent` and then exits.
pub fn go_on_in_child(parent: impl FnOnce() -> i32) -> Result<(), Errno> {
    // SAFETY: as for `fork_into`, with the parts changed.
    let pid = unsafe { libc::fork() };
    match child_id(pid) {
        Some(_) => exit_now(catch_unwind(AssertUnwindSafe(parent)).unwrap_or(PANIC_STATUS)),
        None if pid == 0 => Ok(()),
        None => Err(last_errno()),
    }
}

/// The same, and the child begins in the control group of the second version with this directory.
pub fn fork_into_group(group: impl AsFd, child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let arguments = CloneArguments {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: group.as_fd().as_raw_fd() as u64,
        ..CloneArguments::default()
    };
    // SAFETY: as for `fork_into`; the kernel reads the arguments, and the child gets a copy of the
    // stack. The C library does not hear of the child, which is why its thread's number is wrong
    // there: only what locks by it would notice, and with one thread nothing does.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>())
    };
    if pid == 0 {
        exit_now(catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANIC_STATUS));
    }
    child_id(pid as libc::pid_t).ok_or_else(last_errno)
}

/// Whether [`fork_into_group`] works. Kernels before 5.7 know nothing of it, and many containers
/// refuse the call. No process is made: the group's descriptor is none.
pub fn can_fork_into_group() -> bool {
    let arguments = CloneArguments {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: RawFd::MAX as u64,
        ..CloneArguments::default()
    };
    // SAFETY: as above; if a process were made, it would end at once.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>())
    };
    if pid == 0 {
        exit_now(0);
    }
    pid < 0 && last_errno() == Errno::BADF
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The kernel's `clone_args`, of which not every C library has the last field.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Ends this process without running anything else in it.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Replaces this process by a program; returns only to say why not.
pub fn execute(path: &CStr, argv: &[CString], env: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: the path and every element are zero-terminated strings that outlive the call, and
    // both arrays end in null.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    last_errno()
}

/// Blocks every signal that can be blocked, until [`unblock_signals`].
pub fn block_signals() {
    let mut every = MaybeUninit::uninit();
    // SAFETY: `sigfillset` initialises the set that `sigprocmask` then reads; the old mask is not
    // asked for.
    unsafe {
        libc::sigfillset(every.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, every.as_ptr(), ptr::null_mut());
    }
}

/// Unblocks all signals; pending ones are delivered.
pub fn unblock_signals() {
    let mut none = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set that `sigprocmask` then reads; the old mask is not
    // asked for.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// Gives every signal its default effect. A program inherits what is ignored, so an ignored
/// `SIGPIPE` or `SIGCHLD` of the host, or of the Rust runtime, would reach every tenant.
pub fn default_signal_effects() {
    // The kernel's `sigaction`: no handler, no flags, no mask, with room to spare for every
    // architecture's layout.
    const DEFAULT: [u64; 8] = [0; 8];
    const SIGNALS: c_int = 64;
    const MASK_BYTES: usize = SIGNALS as usize / 8;
    for signal in 1..=SIGNALS {
        // SAFETY: the kernel reads a valid `sigaction` and writes nothing. The C library's own
        // function would refuse the signals it keeps to itself, and these can be inherited as
        // ignored too. That SIGKILL and SIGSTOP are refused is what we want.
        unsafe {
            let (new, old) = (DEFAULT.as_ptr(), ptr::null_mut::<u64>());
            libc::syscall(libc::SYS_rt_sigaction, signal, new, old, MASK_BYTES);
        }
    }
}

/// The scheduling policy of a process, apart from its niceness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    number: c_int,
    /// 0 unless the policy is real-time.
    priority: c_int,
}

impl Policy {
    /// Real-time: ahead of all ordinary processes, and in turn with those of the same priority.
    pub fn real_time(priority: i32) -> Policy {
        Policy { number: libc::SCHED_RR, priority }
    }

    /// The same policy, but forked processes start as ordinary ones of ordinary niceness.
    pub fn reset_on_fork(self) -> Policy {
        Policy { number: self.number | libc::SCHED_RESET_ON_FORK, ..self }
    }
}

/// The policy of this process.
///
/// By system calls, here and below: musl's functions only return an error.
pub fn policy() -> Result<Policy, Errno> {
    // SAFETY: the call takes an integer.
    let number = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
    let mut priority: c_int = 0;
    // SAFETY: the kernel's `sched_param` is one integer, and there is room for it.
    let result = unsafe { libc::syscall(libc::SYS_sched_getparam, 0, &raw mut priority) };
    if number < 0 || result < 0 {
        return Err(last_errno());
    }
    Ok(Policy { number: number as c_int, priority })
}

/// Sets the policy of this process.
pub fn set_policy(policy: Policy) -> Result<(), Errno> {
    set_policy_of_thread(0, policy)
}

/// Sets the policy of another process's first thread.
pub fn set_policy_of(process: Pid, policy: Policy) -> Result<(), Errno> {
    set_policy_of_thread(process.as_raw_pid(), policy)
}

fn set_policy_of_thread(thread: c_int, policy: Policy) -> Result<(), Errno> {
    let Policy { number, priority } = policy;
    // SAFETY: the kernel's `sched_param` is one integer, which it reads.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, thread, number, &raw const priority) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// A descriptor that is readable when a child may have ended. `SIGCHLD` has to be blocked.
pub fn child_signals() -> Result<OwnedFd, Errno> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set that the other two then use.
    let fd = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the descriptor was just made and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The result of [`reap`].
#[derive(Clone, Copy, Debug)]
pub enum Reaped {
    /// A child was reaped; its pid may be reused from now on.
    Child {
        /// Its pid.
        pid: Pid,
        /// How it ended.
        ending: Ending,
        /// Its CPU time, and that of the descendants that were reaped below it, in microseconds.
        cpu_us: u64,
    },
    /// There are children, and none can be reaped now.
    NothingYet,
    /// There are no children, and so no descendants.
    NoChildren,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// Reaps one ended child, if there is one, without waiting.
pub fn reap() -> Reaped {
    let mut status: c_int = 0;
    let mut usage = MaybeUninit::zeroed();
    // SAFETY: both results are written to places of the right type.
    let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    match child_id(pid) {
        Some(pid) => {
            let ending = if libc::WIFSIGNALED(status) {
                Ending::Signaled(libc::WTERMSIG(status))
            } else {
                Ending::Exited(libc::WEXITSTATUS(status))
            };
            // SAFETY: all-zero bytes are a valid `rusage`, and the call filled it in.
            Reaped::Child { pid, ending, cpu_us: cpu_us(unsafe { usage.assume_init() }) }
        }
        None if pid < 0 && last_errno() == Errno::CHILD => Reaped::NoChildren,
        None => Reaped::NothingYet,
    }
}

/// Reaps a child, and waits for its end. Only for one that was killed and cannot hang.
pub fn wait_for(child: Pid) {
    // SAFETY: the call takes integers, and writes nowhere if there is no place for the status.
    while unsafe { libc::waitpid(child.as_raw_pid(), ptr::null_mut(), 0) } < 0
        && last_errno() == Errno::INTR
    {}
}

/// A child that was continued, and was not told of before; `None` if there is no other. One that has
/// stopped since, or has ended, is none.
pub fn continued_child() -> Option<Pid> {
    let mut child = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WCONTINUED | libc::WNOHANG;
    // SAFETY: the result is written to a place of the right type.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, child.as_mut_ptr(), options) };
    // SAFETY: all-zero bytes are a valid `siginfo_t`, with the pid 0, which the call leaves if there
    // is no such child; else it fills in what is of a child.
    (result == 0).then(|| child_id(unsafe { child.assume_init().si_pid() }))?
}

/// The CPU time of a process, threads that have ended included, in nanoseconds; `None` if there is no
/// such process.
pub fn cpu_time_ns(process: Pid) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the result is written to a place of the right type.
    let result = unsafe { libc::clock_gettime(cpu_clock_of(process), &raw mut time) };
    (result == 0).then_some(time.tv_sec as u64 * NS_PER_S + time.tv_nsec as u64)
}

const NS_PER_S: u64 = 1_000_000_000;

/// The kernel's number for the clock that counts the CPU time of a process as its scheduler does.
fn cpu_clock_of(process: Pid) -> libc::clockid_t {
    const CPUCLOCK_SCHED: libc::clockid_t = 2;
    (!process.as_raw_pid() << 3) | CPUCLOCK_SCHED
}

/// `SIGCHLD` comes, as of a child that has ended, when another process has used so much CPU time more.
/// Nothing happens until that runs. Dropping it calls it off.
#[derive(Debug)]
pub struct CpuAlarm {
    /// The kernel's number: the C library would add memory of its own, or a library.
    timer: c_int,
}

impl CpuAlarm {
    /// Fails where the kernel has no such timers, or the user as many as they may
    /// (`RLIMIT_SIGPENDING`).
    pub fn set(process: Pid, after_ns: u64) -> Result<CpuAlarm, Errno> {
        let mut timer: c_int = 0;
        // SAFETY: all-zero bytes are a valid `sigevent`.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        (event.sigev_notify, event.sigev_signo) = (libc::SIGEV_SIGNAL, libc::SIGCHLD);
        // SAFETY: the kernel reads the event, and writes the number to a place of its type.
        let result = unsafe {
            let (clock, event) = (cpu_clock_of(process), &raw const event);
            libc::syscall(libc::SYS_timer_create, clock, event, &raw mut timer)
        };
        if result < 0 {
            return Err(last_errno());
        }
        let alarm = CpuAlarm { timer };
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let after = libc::timespec {
            tv_sec: (after_ns / NS_PER_S) as libc::time_t,
            tv_nsec: (after_ns % NS_PER_S) as c_long,
        };
        let setting = libc::itimerspec { it_interval: at_once, it_value: after };
        // SAFETY: the kernel reads the setting; the one before is not asked for.
        let result = unsafe {
            let (relative, before) = (0 as c_int, ptr::null_mut::<libc::itimerspec>());
            libc::syscall(libc::SYS_timer_settime, timer, relative, &raw const setting, before)
        };
        if result < 0 { Err(last_errno()) } else { Ok(alarm) }
    }
}

impl Drop for CpuAlarm {
    fn drop(&mut self) {
        // SAFETY: the call takes an integer; the timer has no other owner.
        unsafe { libc::syscall(libc::SYS_timer_delete, self.timer) };
    }
}

/// The CPU time of all descendants that were reaped, by this process or by their own parents, in
/// microseconds.
pub fn reaped_cpu_us() -> u64 {
    let mut usage = MaybeUninit::zeroed();
    // SAFETY: the result is written to a place of the right type.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid `rusage`, also if the call had failed.
    cpu_us(unsafe { usage.assume_init() })
}

fn cpu_us(usage: libc::rusage) -> u64 {
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    us(usage.ru_utime) + us(usage.ru_stime)
}

/// Closes every descriptor of the process but these.
///
/// For use right after a fork or an exec: inherited descriptors have no owner in this process.
pub fn close_all_except(kept: &[RawFd]) {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let mut first = 0;
    for end in kept.iter().copied().chain([RawFd::MAX]) {
        if first < end && !close_range(first, end - 1) {
            close_listed(first, end - 1);
        }
        first = end.saturating_add(1);
    }
}

/// False on kernels before 5.9, and where a sandbox forbids the call.
fn close_range(first: RawFd, last: RawFd) -> bool {
    // SAFETY: this system call takes three integers. What is closed has no owner, see
    // `close_all_except`.
    unsafe {
        libc::syscall(libc::SYS_close_range, first as c_uint, last as c_uint, 0 as c_uint) == 0
    }
}

fn close_listed(first: RawFd, last: RawFd) {
    // Relative to the working directory, which is the `/proc` that the warden was started with;
    // another file system may be mounted there by now. A process that becomes a tenant's does this
    // before it enters the tenant's directory.
    let listed = std::fs::read_dir("self/fd").into_iter().flatten().flatten();
    let fds: Vec<RawFd> =
        listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in fds.into_iter().filter(|fd| (first..=last).contains(fd)) {
        // SAFETY: what is closed has no owner, see `close_all_except`. The listing's own
        // descriptor, closed by now, is refused with an error.
        unsafe { libc::close(fd) };
    }
}

/// The process that has connected to the other end of a socket, and its user. The pid is 0 if the
/// process is not visible from here.
pub fn peer_of(socket: impl AsFd) -> Result<(u32, u32), Errno> {
    let mut peer = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    let mut bytes = size_of::<libc::ucred>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most as many bytes as there are. A `Pid` of rustix could not be
    // 0.
    let result = unsafe {
        let peer = (&raw mut peer).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, peer, &raw mut bytes)
    };
    if result == 0 { Ok((peer.pid.cast_unsigned(), peer.uid)) } else { Err(last_errno()) }
}

/// The most ranges that [`advise_page_out`] takes.
pub const ADVICE_RANGES_MAX: usize = 64;

/// Advises the kernel to hand memory of another process to swap (Linux 5.10). Takes root or
/// `CAP_SYS_NICE`. Returns how many bytes it was advised about: it ends at the first range that it
/// has no such advice for.
pub fn advise_page_out(process: impl AsFd, ranges: &[Range<u64>]) -> Result<u64, Errno> {
    // The number is the same on all architectures, and not known to every C library.
    const SYS_PROCESS_MADVISE: libc::c_long = 440;
    let vectors: Vec<libc::iovec> = ranges
        .iter()
        .map(|range| libc::iovec {
            iov_base: range.start as *mut libc::c_void,
            iov_len: (range.end - range.start) as usize,
        })
        .collect();
    // SAFETY: the kernel reads the vectors. Their addresses are those of another process, of which
    // no byte changes: what went comes back when it is touched.
    let advised = unsafe {
        let (fd, no_flags) = (process.as_fd().as_raw_fd(), 0 as c_uint);
        let (first, count) = (vectors.as_ptr(), vectors.len());
        libc::syscall(SYS_PROCESS_MADVISE, fd, first, count, libc::MADV_PAGEOUT, no_flags)
    };
    u64::try_from(advised).map_err(|_| last_errno())
}

/// The pid in the result of a system call; zero and negative results are none.
fn child_id(result: libc::pid_t) -> Option<Pid> {
    if result > 0 { Pid::from_raw(result) } else { None }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
