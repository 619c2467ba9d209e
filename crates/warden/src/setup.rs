//! Prepares the process for being a warden: undoes what it inherited from the host.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Signal, chdir, getpid, set_child_subreaper, set_dumpable_behavior,
    set_parent_process_death_signal, setsid,
};
use rustix::stdio;

use warden::planted::{Bug, planted};

use crate::hosted::Host;
use crate::listener::{self, Listener};
use crate::open_files;
use crate::service::Served;
use crate::sys;
use crate::temporary;
use crate::walls;

/// The exit status of the process that a host has started as a surviving warden, which goes on in
/// another one.
const NOT_LISTENING_STATUS: i32 = 1;

/// Turns the process into a warden: a surviving one if standard input is bound to a path.
pub fn become_warden() -> io::Result<Served> {
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
    // Facts of processes are read relative to this directory (tree.rs), also if another file
    // system is mounted at `/proc` later.
    chdir("/proc")?;
    sys::close_all_except(&[0, 1, 2]);
    if listener::is_bound(stdio::stdin()) {
        let listens = go_on_alone()?;
        settle()?;
        open_files::raise_limit();
        let (socket, lock) = (own(stdio::stdin())?, own(stdio::stdout())?);
        silence_stdio()?;
        prepare();
        let listener = Listener::new(socket, lock)?;
        rustix::io::write(&listens, b"y")?;
        return Ok(Served::Name(listener));
    }
    settle()?;
    // The warden may be stopped when the host ends; this continues it.
    set_parent_process_death_signal(Some(Signal::CONT))?;
    let socket = own(stdio::stdin())?;
    silence_stdio()?;
    // The process that made the socket pair. Only its packets are obeyed.
    let pid = rustix::net::sockopt::socket_peercred(&socket)?.pid;
    prepare();
    Ok(Served::Host(Host::new(socket, pid)))
}

/// Goes on in a process that is nobody's child. The one that was started waits until something is
/// written to the descriptor that is returned, which says that hosts can connect, and exits.
fn go_on_alone() -> io::Result<OwnedFd> {
    // A bug's name is looked for in the parents, which this process has and the next one has not.
    planted(Bug::WardenStays);
    let (waits, listens) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut listens = Some(listens);
    sys::go_on_in_child(|| {
        listens = None;
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&waits, &mut [0]));
        if read == Ok(1) { 0 } else { NOT_LISTENING_STATUS }
    })?;
    listens.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
}

/// What every warden does.
fn settle() -> io::Result<()> {
    match setsid() {
        // EPERM: it leads a group already, so a terminal's signals do not reach it either.
        Ok(_) | Err(Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    set_child_subreaper(Some(getpid()))?;
    rustix::thread::set_name(c"abs-warden")?;
    Ok(())
}

fn prepare() {
    temporary::prepare();
    walls::prepare();
}

fn own(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?)
}

/// Opens `/dev/null` as 0, 1 and 2, so that no socket or pipe gets one of these numbers.
fn silence_stdio() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    stdio::dup2_stdin(&null)?;
    stdio::dup2_stdout(&null)?;
    stdio::dup2_stderr(&null)?;
    Ok(())
}
