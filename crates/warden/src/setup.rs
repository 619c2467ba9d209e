//! Prepares the process for being a warden: undoes what it inherited from the host.

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
use crate::temporary;
use crate::walls;

/// Turns the process into a warden. Returns the socket to the host, and the host's pid.
pub fn become_warden() -> io::Result<(OwnedFd, Pid)> {
    // Done first, since tenants of the same user may run already: none of them can then trace the
    // process, take its descriptors, or read its memory. Keepers inherit this; a tenant's program
    // does not.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if rustix::net::sockopt::socket_type(stdio::stdin()).ok() != Some(SocketType::SEQPACKET) {
        let message = "standard input is not the host's socket: this program is started by @absolutejs/runtime, not by hand";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    // A Ctrl-C or the service manager's SIGTERM reaches the whole group. The host decides what
    // they mean; the warden ends only when the host's socket closes.
    sys::block_signals();
    // They are not changed again, so tenants start with them.
    sys::default_signal_effects();
    match setsid() {
        // EPERM: it leads a group already, so a terminal's signals do not reach it either.
        Ok(_) | Err(Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    // Facts of processes are read relative to this directory (tree.rs), also if another file
    // system is mounted at `/proc` later.
    chdir("/proc")?;
    set_child_subreaper(Some(getpid()))?;
    // The warden may be stopped when the host ends; this continues it.
    set_parent_process_death_signal(Some(Signal::CONT))?;
    rustix::thread::set_name(c"abs-warden")?;
    sys::close_all_except(&[0, 1, 2]);
    let host = rustix::io::fcntl_dupfd_cloexec(stdio::stdin(), 3)?;
    silence_stdio()?;
    // The process that made the socket pair. Only its packets are obeyed.
    let host_pid = rustix::net::sockopt::socket_peercred(&host)?.pid;
    temporary::prepare();
    walls::prepare();
    Ok((host, host_pid))
}

/// Opens `/dev/null` as 0, 1 and 2, so that no socket or pipe gets one of these numbers.
fn silence_stdio() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    stdio::dup2_stdin(&null)?;
    stdio::dup2_stdout(&null)?;
    stdio::dup2_stderr(&null)?;
    Ok(())
}
