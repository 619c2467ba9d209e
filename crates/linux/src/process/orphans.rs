//! Clears what a lost warden has left behind.
//!
//! The keepers of a lost warden see their sockets close and clear their tenants' trees. In case
//! they were lost too, all processes that are still in a keeper's session after a moment are
//! killed: each keeper made its session, so they belong to its tenant. A session without processes
//! is over: its number may be reused from then on.

use crate::threads::clock;
use crate::threads::off_thread::OffThread;
use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use warden::Stat;

/// How long the keepers have to clear their trees.
const KEEPERS_TIME: Duration = Duration::from_secs(1);
/// For how long processes are killed after that, before those that the kernel cannot end are given
/// up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// Clears these sessions, and returns when no process of them is left or they were given up.
pub async fn clear(mut sessions: Vec<Pid>, off_thread: OffThread) {
    let since = clock::start();
    while since.elapsed() < GIVE_UP_AFTER {
        let kills = since.elapsed() >= KEEPERS_TIME;
        // Off this thread, since reading a full `/proc` takes long.
        let looked_at = sessions.clone();
        match off_thread.run(move || look(looked_at, kills)).await.and_then(|looked| looked) {
            Ok(left) if left.is_empty() => return,
            Ok(left) => sessions = left,
            // The look failed, so it is not known what is left. The next one may succeed.
            Err(error) => tracing::warn!(%error, "what a lost warden has left cannot be seen"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::error!("processes of a lost warden could not be ended");
}

/// Returns the sessions that still have living processes. With `kills` these processes are killed.
/// Without it, the keepers, which lead the sessions, are continued in case they were stopped: only
/// they find processes that have left the session.
fn look(mut sessions: Vec<Pid>, kills: bool) -> io::Result<Vec<Pid>> {
    let proc = open("/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let members = members_of(&sessions, proc.as_fd())?;
    sessions.retain(|session| members.iter().any(|(_, of)| of == session));
    for (pid, session) in members {
        if kills {
            signal(pid, &sessions, proc.as_fd(), Signal::KILL);
        } else if pid == session {
            signal(pid, &sessions, proc.as_fd(), Signal::CONT);
        }
    }
    Ok(sessions)
}

/// The living processes of these sessions, each with its session.
fn members_of(sessions: &[Pid], proc: BorrowedFd) -> io::Result<Vec<(Pid, Pid)>> {
    let mut members = Vec::new();
    for entry in Dir::read_from(proc)? {
        let pid =
            entry?.file_name().to_str().ok().and_then(|name| Pid::from_raw(name.parse().ok()?));
        let Some(pid) = pid else { continue };
        members.extend(session_of(pid, sessions, proc)?.map(|session| (pid, session)));
    }
    Ok(members)
}

/// The session of a living process, if it is one of these. Zombies do not count: they only wait
/// for their parent.
///
/// Not by `getsid`: rustix expects a process id, and the kernel's own threads have session 0.
fn session_of(pid: Pid, sessions: &[Pid], proc: BorrowedFd) -> Result<Option<Pid>, Errno> {
    let stat = Stat::read(proc, pid.as_raw_pid().cast_unsigned())?.filter(|stat| !stat.has_ended);
    let is_its = |session: &Pid| {
        stat.is_some_and(|stat| stat.session == session.as_raw_pid().cast_unsigned())
    };
    Ok(sessions.iter().copied().find(is_its))
}

/// Signals through a pidfd whose membership is checked after it was opened: a reused pid is never
/// hit.
fn signal(pid: Pid, sessions: &[Pid], proc: BorrowedFd, signal: Signal) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if matches!(session_of(pid, sessions, proc), Ok(Some(_))) {
        let _ = pidfd_send_signal(pidfd, signal);
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "the processes that are killed must come from somewhere"
)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// A process in a session of its own.
    fn session_leader() -> (Child, Pid) {
        let child = Command::new("setsid").args(["sleep", "60"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        while look(vec![pid], false).unwrap().is_empty() {
            std::thread::yield_now();
        }
        (child, pid)
    }

    #[test]
    fn a_session_seen_empty_is_never_looked_at_again() {
        let ((mut one, first), (mut other, second)) = (session_leader(), session_leader());
        one.kill().unwrap();
        one.wait().unwrap();
        let left = look(vec![first, second], false).unwrap();
        assert_eq!(left, [second], "a later session with the other's number is left alone");
        assert_eq!(look(left.clone(), true).unwrap(), [second]);
        other.wait().unwrap();
        assert_eq!(look(left, true).unwrap(), []);
    }
}
