//! What the process does to itself before it serves: it lets go of everything it inherited from the host.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::process::{
    DumpableBehavior, Pid, Signal, chdir, getpid, set_child_subreaper, set_dumpable_behavior,
    set_parent_process_death_signal, setsid,
};
use rustix::stdio;

use crate::sys;

/// Turns the process into a warden and returns the socket to the host, and the host's pid.
pub fn become_warden() -> io::Result<(OwnedFd, Pid)> {
    // First of all, since tenants of the same user may be there already: none of them can trace the process, take its
    // descriptors, or read its memory. Keepers inherit it; a tenant's own program does not.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if rustix::net::sockopt::socket_type(stdio::stdin()).ok() != Some(SocketType::SEQPACKET) {
        let message = "standard input is not the host's socket: this program is started by @absolutejs/runtime, not by hand";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    // A Ctrl-C or the service manager's SIGTERM reaches the whole group. The host decides what they mean; the warden
    // goes when the host's socket closes and not before.
    sys::block_signals();
    // Nothing changes them again, so this is what tenants start with.
    sys::default_signal_effects();
    match setsid() {
        // Already the leader of a group, so a terminal's signals do not reach it either.
        Ok(_) | Err(Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    // Everything about processes is read from here (tree.rs), also when something else is mounted at /proc one day.
    chdir("/proc")?;
    set_child_subreaper(Some(getpid()))?;
    // Somebody may have stopped it by the time that the host ends.
    set_parent_process_death_signal(Some(Signal::CONT))?;
    rustix::thread::set_name(c"abs-warden")?;
    sys::close_all_except(&[0, 1, 2]);
    let host = rustix::io::fcntl_dupfd_cloexec(stdio::stdin(), 3)?;
    silence_stdio()?;
    // Who made the pair. Only what this process sends is obeyed.
    let host_pid = rustix::net::sockopt::socket_peercred(&host)?.pid;
    Ok((host, host_pid))
}

/// Keeps 0, 1 and 2 occupied, so that no socket or pipe ever gets one of these numbers.
fn silence_stdio() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    stdio::dup2_stdin(&null)?;
    stdio::dup2_stdout(&null)?;
    stdio::dup2_stderr(&null)?;
    Ok(())
}
