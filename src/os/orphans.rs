//! What a lost warden leaves behind.
//!
//! Its keepers see their sockets close and clear their tenants' trees. In case they were lost too: whatever is still in
//! the session of one of them after a moment is ours, since each of them made its session, and is killed. A session in
//! which nobody is left is over: its number may be somebody else's from then on.

use crate::os::clock;
use crate::os::engine::Engine;
use warden::Stat;
use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::time::Duration;

/// What the keepers get to do their work.
const KEEPERS_TIME: Duration = Duration::from_secs(1);
/// After that, how long we kill before we give up on processes that the kernel cannot end.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until nothing of these sessions is left, and sees to it.
pub async fn clear(mut sessions: Vec<Pid>) {
    // One that somebody had stopped could not do its work.
    sessions.iter().for_each(|keeper| signal(*keeper, &sessions, Signal::CONT));
    let since = clock::start();
    while since.elapsed() < GIVE_UP_AFTER {
        let kills = since.elapsed() >= KEEPERS_TIME;
        // A thread of its own, since a full `/proc` takes its time.
        let looked = Engine::off_thread(move || {
            look(&mut sessions, kills);
            sessions
        });
        sessions = looked.await.unwrap_or_default();
        if sessions.is_empty() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::error!("processes of a lost warden could not be ended");
}

/// Leaves out the sessions in which nobody lives any more, and kills who lives in the others if that is wanted.
fn look(sessions: &mut Vec<Pid>, kills: bool) {
    let members = members_of(sessions);
    sessions.retain(|session| members.iter().any(|(_, of)| of == session));
    if kills {
        members.into_iter().for_each(|(pid, _)| signal(pid, sessions, Signal::KILL));
    }
}

/// The living members, each with its session.
fn members_of(sessions: &[Pid]) -> Vec<(Pid, Pid)> {
    let Ok(proc) = open("/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return Vec::new();
    };
    let entries = Dir::read_from(&proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str().ok()?.parse::<i32>().ok());
    pids.filter_map(|pid| Pid::from_raw(pid).and_then(|pid| Some((pid, session_of(pid, sessions)?))))
        .collect()
}

/// Its session, if it is one of these and the process lives; zombies wait for whoever inherited them and do no harm.
///
/// Not by `getsid`, as rustix takes no session, which is what the kernel's own threads have, for a process.
fn session_of(pid: Pid, sessions: &[Pid]) -> Option<Pid> {
    let stat = Stat::of(pid.as_raw_pid().cast_unsigned()).filter(|stat| !stat.has_ended)?;
    sessions.iter().copied().find(|session| session.as_raw_pid().cast_unsigned() == stat.session)
}

/// Through a pidfd, with membership checked after it was opened: a recycled pid is never hit.
fn signal(pid: Pid, sessions: &[Pid], signal: Signal) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if session_of(pid, sessions).is_some() {
        let _ = pidfd_send_signal(pidfd, signal);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the processes that are killed must come from somewhere")]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// A process in a session of its own.
    fn lonely() -> (Child, Pid) {
        let child = Command::new("setsid").args(["sleep", "60"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        while session_of(pid, &[pid]).is_none() {
            std::thread::yield_now();
        }
        (child, pid)
    }

    #[test]
    fn a_session_seen_empty_is_never_looked_at_again() {
        let ((mut one, first), (mut other, second)) = (lonely(), lonely());
        let mut sessions = vec![first, second];
        one.kill().unwrap();
        one.wait().unwrap();
        look(&mut sessions, false);
        assert_eq!(sessions, [second], "whoever gets the other's number is left alone");
        look(&mut sessions, true);
        other.wait().unwrap();
        look(&mut sessions, true);
        assert_eq!(sessions, []);
    }
}
