//! What a lost warden leaves behind.
//!
//! Its keepers see their sockets close and clear their tenants' trees. In case they were lost too: whatever is still in
//! the session of one of them after a moment is ours, since each of them made its session, and is killed.

use crate::os::stat::Stat;
use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::process::{Pid, PidfdFlags, Signal, getsid, pidfd_open, pidfd_send_signal};
use std::time::Duration;

/// What the keepers get to do their work.
const KEEPERS_TIME_MS: u64 = 1_000;
/// After that, how long we kill before we give up on processes that the kernel cannot end.
const GIVE_UP_AFTER_MS: u64 = 10_000;
const PAUSE_MS: u64 = 5;

/// Waits until nothing of these sessions is left, and sees to it.
pub async fn clear(sessions: &[Pid]) {
    // One that somebody had stopped could not do its work.
    sessions.iter().for_each(|keeper| signal(*keeper, sessions, Signal::CONT));
    for waited_ms in (0..GIVE_UP_AFTER_MS).step_by(PAUSE_MS as usize) {
        let members = members_of(sessions);
        if members.is_empty() {
            return;
        }
        if waited_ms >= KEEPERS_TIME_MS {
            members.into_iter().for_each(|pid| signal(pid, sessions, Signal::KILL));
        }
        tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
    }
    tracing::error!("processes of a lost warden could not be ended");
}

/// The living members; zombies wait for whoever inherited them and do no harm.
fn members_of(sessions: &[Pid]) -> Vec<Pid> {
    let Ok(proc) = open("/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return Vec::new();
    };
    let entries = Dir::read_from(&proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str().ok()?.parse::<i32>().ok());
    pids.filter_map(Pid::from_raw).filter(|pid| is_member(*pid, sessions) && !is_zombie(*pid)).collect()
}

fn is_member(pid: Pid, sessions: &[Pid]) -> bool {
    getsid(Some(pid)).is_ok_and(|id| sessions.contains(&id))
}

fn is_zombie(pid: Pid) -> bool {
    Stat::of(pid.as_raw_pid().cast_unsigned()).is_none_or(|stat| stat.is_zombie)
}

/// Through a pidfd, with membership checked after it was opened: a recycled pid is never hit.
fn signal(pid: Pid, sessions: &[Pid], signal: Signal) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if is_member(pid, sessions) {
        let _ = pidfd_send_signal(pidfd, signal);
    }
}
