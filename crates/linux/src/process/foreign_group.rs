//! Asks a process group that the user started to end, with at most one `SIGTERM` to each process,
//! whether from here or from its parent. The leader is asked first; each other process is asked
//! when its parent is gone from the group, unless a process that was asked has passed its signal
//! on to it.
//!
//! Whether a signal was passed on is seen in the same way as in the warden (its `asking.rs`
//! explains it): while a process is asked that may pass the signal on, those that would handle it
//! are stopped for the few milliseconds of the reaction, so that a signal that is passed on stays
//! pending in them and is seen. They are continued however this ends; only a host that is killed
//! within these milliseconds leaves them stopped.
//!
//! The number of a group is not reused while the group exists; so the members that a look has
//! found count only if the group still exists after the look.

mod member;

pub use self::member::Member;
use self::member::{Seen, Stopped, members_of};
use crate::process::pidfd::group_is_there;
use crate::threads::off_thread::OffThread;
use rustix::process::{Signal, pidfd_send_signal};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use warden::Reaction;
use warden::reaction::{FREEZE_MS, LOOK_MS, WAIT_BUDGET_MS, is_at_work};

/// The most processes that are stopped while one is asked: each costs some system calls on the
/// engine's thread.
const MOST_STOPPED: usize = 100;

/// The pause between two looks at a group whose leader is gone; it grows while nothing changes.
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A group that is being asked to end. Dropping it gives up: stopped members are continued, and no
/// further ones are asked.
pub struct Asking {
    leader: Member,
    pidfd: Arc<OwnedFd>,
    off_thread: OffThread,
    /// Members as of the last look.
    known: HashSet<Member>,
    /// Members that have had their `SIGTERM`, from here or from a process above them.
    settled: HashSet<Member>,
    /// Members that would handle the signal when another one was asked, and where the stack of
    /// their program began then, if it had a handler.
    listeners: HashMap<Member, Option<u64>>,
    /// How many more looks, [`LOOK_MS`] apart, may be spent on waiting.
    looks_left: u64,
}

impl Asking {
    /// Asks the leader, to which the pidfd belongs.
    pub async fn of(leader: Member, pidfd: Arc<OwnedFd>, off_thread: OffThread) -> Asking {
        let (known, settled, listeners) = Default::default();
        let looks_left = WAIT_BUDGET_MS / LOOK_MS;
        let mut asking =
            Asking { leader, pidfd, off_thread, known, settled, listeners, looks_left };
        let members = asking.look().await.unwrap_or_default();
        match members.iter().find(|seen| seen.member == leader) {
            Some(seen) => asking.ask(seen, &members).await,
            // The leader is gone, or the look failed.
            None => {
                let _ = pidfd_send_signal(&asking.pidfd, Signal::TERM);
            }
        }
        asking
    }

    /// To be called when the leader has ended: asks the remaining members as their parents go,
    /// kills them once `is_forced` is set, and waits until none is left.
    pub async fn end_rest(mut self, is_forced: &AtomicBool) {
        let mut pause = PAUSE_FIRST;
        // Checked first: a look reads all of `/proc`, and most groups are gone with their leader.
        while group_is_there(&self.pidfd) != Some(false) {
            // A signal to a group reaches all members, also those that are just being forked.
            if is_forced.load(Ordering::Relaxed) && self.have_ended() {
                return;
            }
            let members = match self.look().await {
                Ok(members) if members.is_empty() => return,
                Ok(members) => members,
                // The look failed; the next one may succeed.
                Err(_) => Vec::new(),
            };
            if is_forced.load(Ordering::Relaxed) {
                members.iter().for_each(|seen| seen.member.signal(Signal::KILL));
            }
            let has_asked = self.ask_orphans(&members).await;
            pause = if has_asked { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether all members of the last look have ended. False without a look that saw any.
    fn have_ended(&self) -> bool {
        !self.known.is_empty()
            && self.known.iter().all(|member| member.stat().is_none_or(|stat| stat.has_ended))
    }

    /// Asks members whose parents are gone, up to the first that has to be waited for. Returns
    /// whether any was asked.
    async fn ask_orphans(&mut self, members: &[Seen]) -> bool {
        let mut has_asked = false;
        for seen in members.iter().filter(|seen| seen.is_orphan) {
            if self.settled.contains(&seen.member) {
                continue;
            }
            has_asked = true;
            if self.was_passed_it(seen) {
                self.settled.insert(seen.member);
                // The member may have been stopped since.
                seen.member.signal(Signal::CONT);
                continue;
            }
            self.ask(seen, members).await;
            if seen.disposition.listens {
                break;
            }
        }
        has_asked
    }

    fn was_passed_it(&self, seen: &Seen) -> bool {
        let Some(stack_start) = self.listeners.get(&seen.member) else { return false };
        // Read after the disposition, so that a program executed meanwhile is not taken for the
        // former one.
        let is_same_program =
            || seen.member.stat().is_some_and(|stat| Some(stat.stack_start) == *stack_start);
        seen.disposition.is_pending || (!seen.disposition.listens && is_same_program())
    }

    /// Sends `SIGTERM` to a member, and notes to which others it is passed on at once.
    async fn ask(&mut self, asked: &Seen, members: &[Seen]) {
        self.settled.insert(asked.member);
        let may_pass_it_on = asked.disposition.listens && self.looks_left > 0;
        let mut stopped = Stopped::default();
        for seen in members.iter().filter(|seen| may_pass_it_on && seen.disposition.listens) {
            if stopped.0.len() < MOST_STOPPED && !self.settled.contains(&seen.member) {
                let stack_start = seen.disposition.catches.then_some(seen.stack_start);
                self.listeners.insert(seen.member, stack_start);
                stopped.add(seen.member);
            }
        }
        self.await_stop(&stopped).await;
        asked.member.signal(Signal::TERM);
        asked.member.signal(Signal::CONT);
        if !stopped.0.is_empty() {
            self.await_reaction(asked.member).await;
        }
        // Parents come before their children: a process that was passed the signal may pass it on
        // in turn while those below it are still stopped.
        while let Some(member) = stopped.first() {
            let was_passed_it = member.disposition().is_some_and(|it| it.is_pending);
            stopped.continue_first();
            if was_passed_it {
                self.settled.insert(member);
                self.await_reaction(member).await;
            }
        }
    }

    async fn await_stop(&mut self, stopped: &Stopped) {
        let mut looks = FREEZE_MS / LOOK_MS;
        for member in &stopped.0 {
            while looks > 0
                && member.disposition().is_some_and(|it| !it.is_frozen())
                && self.pause().await
            {
                looks -= 1;
            }
        }
    }

    async fn await_reaction(&mut self, member: Member) {
        let mut reaction = Reaction::default();
        let look = || member.disposition().zip(member.stat());
        let is_at_work = || is_at_work(Path::new("/proc"), member.pid);
        while self.pause().await && !reaction.is_over(look(), is_at_work) {}
    }

    /// Waits for one look's time; false if none is left.
    async fn pause(&mut self) -> bool {
        if self.looks_left == 0 {
            return false;
        }
        self.looks_left -= 1;
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        true
    }

    /// The living members, parents before their children. An error means that the look failed, not
    /// that there are none.
    async fn look(&mut self) -> io::Result<Vec<Seen>> {
        let group = self.leader.pid.as_raw_pid().cast_unsigned();
        let mut members = self.off_thread.run(move || members_of(group)).await??;
        let is_known =
            |seen: &Seen| seen.member == self.leader || self.known.contains(&seen.member);
        if !group_is_there(&self.pidfd).unwrap_or_else(|| members.iter().any(is_known)) {
            members.clear();
        }
        self.known = members.iter().map(|seen| seen.member).collect();
        Ok(members)
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "the processes that are asked must come from somewhere"
)]
mod tests {
    use super::*;
    use rustix::process::Pid;
    use rustix::process::{PidfdFlags, pidfd_open};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use warden::Disposition;

    /// A process that leads a group of its own and has printed that it is up.
    fn leader(script: &str) -> Child {
        let mut command = Command::new("sh");
        let command = command.args(["-c", script]).process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        assert_eq!(line, "up\n");
        child
    }

    fn await_disposition(member: Member, holds: impl Fn(Disposition) -> bool) {
        while !member.disposition().is_some_and(&holds) {
            std::thread::yield_now();
        }
    }

    fn end(mut leader: Child) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&leader), Signal::KILL);
        leader.wait().unwrap();
    }

    #[test]
    fn members_are_found_parents_first() {
        let script = "sh -c 'sh -c \"echo up; read _; :\"; :'; :";
        let leader = leader(script);
        let members = members_of(leader.id()).unwrap();
        assert_eq!(members.len(), 3);
        assert_eq!(members[0].member.pid, Pid::from_child(&leader));
        let orphans: Vec<bool> = members.iter().map(|seen| seen.is_orphan).collect();
        assert_eq!(orphans, [true, false, false]);
        for pair in members.windows(2) {
            let parent = pair[0].member.pid.as_raw_pid().cast_unsigned();
            assert_eq!(pair[1].member.stat().unwrap().parent, parent);
        }
        end(leader);
    }

    /// A shell blocks all signals until its child has executed the command; so does this one until
    /// it is told.
    #[test]
    fn a_member_that_only_unblocks_the_signal_is_asked() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let child = "$t = POSIX::SigSet->new(SIGTERM); sigprocmask(SIG_BLOCK, $t); $| = 1; \
                     $SIG{USR1} = sub { sigprocmask(SIG_UNBLOCK, $t) }; print qq(up\\n); sleep 9 while 1";
        let leader = leader(&format!(
            "trap 'kill -USR1 $c; while grep -q SigBlk:.*4...$ /proc/$c/status; do sleep 0.01; done; exit' \
             TERM; perl -MPOSIX -e '{child}' & c=$!; wait"
        ));
        let pidfd = pidfd_open(Pid::from_child(&leader), PidfdFlags::empty()).unwrap();
        let members = members_of(leader.id()).unwrap();
        let member = members[1].member;
        let has_ended = || member.stat().is_none_or(|stat| stat.has_ended);
        runtime.block_on(async {
            let stat = crate::process::proc_stat::of(leader.id()).unwrap();
            let leader = Member::of(&stat).unwrap();
            let asking = Asking::of(leader, Arc::new(pidfd), OffThread::default()).await;
            let ended = async {
                while !has_ended() {
                    tokio::task::yield_now().await;
                }
            };
            let is_forced = AtomicBool::new(false);
            let asked = async { tokio::join!(asking.end_rest(&is_forced), ended) };
            let _ = tokio::time::timeout(Duration::from_secs(20), asked).await;
        });
        let has_ended = has_ended();
        end(leader);
        assert!(has_ended);
    }

    #[test]
    fn stopped_members_are_continued_when_the_asking_is_dropped() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // The leader handles the signal for longer than it is waited for.
        let child = "trap : TERM; echo up; while :; do sleep 0.01; done";
        let leader = leader(&format!("trap 'while :; do :; done' TERM; sh -c '{child}' & wait"));
        let pid = Pid::from_child(&leader);
        let members = members_of(leader.id()).unwrap();
        let listens = |seen: &&Seen| seen.member.pid != pid && seen.disposition.listens;
        let below = members.iter().find(listens).unwrap().member;
        let pidfd = Arc::new(pidfd_open(pid, PidfdFlags::empty()).unwrap());
        runtime.block_on(async {
            let stat = crate::process::proc_stat::of(leader.id()).unwrap();
            let leader = Member::of(&stat).unwrap();
            let asking = tokio::spawn(Asking::of(leader, pidfd, OffThread::default()));
            while !below.disposition().unwrap().is_frozen() {
                tokio::task::yield_now().await;
            }
            asking.abort();
            assert!(asking.await.is_err(), "it was over already");
        });
        await_disposition(below, |it| !it.is_frozen());
        end(leader);
    }
}
