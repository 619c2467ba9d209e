//! Stops a whole tree by signals, so that it can be continued: the way to freeze where the tree has
//! no control group, or a process of it has left that.
//!
//! A process makes no child any more once all of its threads stand, so the children that are listed
//! after that are all that it has. The tree is looked at again and again, parents before children,
//! until a look has found every member standing before its children were listed, and none that is
//! new or has ended since the last one: children of a process that ends become the keeper's, and
//! are found at the next look.
//!
//! A parent may hear of a child that stops, also when it is about to stop itself. So a process is
//! stopped only once its parent stands, unless the tree grows meanwhile or that takes long.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::tree::{Kinship, Scope, is_there, signal_member, stat_of};
use warden::Stat;
use warden::planted::{Bug, planted};

/// How long a tree may need to stand. Each process needs a processor to stop, for which it may wait
/// long on a busy machine.
pub const FALL_MS: u64 = 1_000;

/// For how long processes are stopped only after their parents. On a busy machine each needs its turn.
const PARENTS_FIRST_MS: u64 = FALL_MS / 2;

/// The time between two looks at a tree that grows, and the longest between two.
const LOOK_FIRST_US: i64 = 150;
const LOOK_MAX_US: i64 = 5_000;

/// A tree that stands. Dropping it continues nothing.
#[derive(Debug, Default)]
pub struct Halted {
    /// The processes that were stopped, parents before their children.
    stopped: Vec<(Pid, u64)>,
    /// Those that stand by a signal, whoever has sent it: another one lets them run.
    pub by_signal: Vec<Pid>,
    members: HashSet<Pid>,
}

struct Member {
    started_at_ticks: u64,
    /// It was stopped from here.
    is_ours: bool,
    is_frozen: bool,
    state: State,
    /// The number of the look that saw it last.
    seen_at: usize,
}

/// What a look finds of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    /// No thread of it runs, nor will.
    Stands,
    /// Its children have become the keeper's.
    Ended,
}

struct Looks<'a> {
    scope: Scope<'a>,
    is_frozen: &'a dyn Fn(Pid) -> bool,
    members: HashMap<Pid, Member>,
    /// In the order in which they were found.
    order: Vec<Pid>,
    taken: usize,
    /// From then on all are stopped at once.
    parents_first_until_ms: u64,
    /// The last look has found a member that was not known.
    has_grown: bool,
}

/// Stops every process of the tree but those that `is_frozen` says stand already. An error means
/// that the tree runs on: it could not be made to stand in time, or may not be signalled, or an
/// order has come on the link (`ECANCELED`), which may be to wake it.
pub fn halt(
    scope: Scope<'_>,
    is_frozen: &dyn Fn(Pid) -> bool,
    link: Option<&OwnedFd>,
) -> Result<Halted, Errno> {
    let begin_ms = clock::now_ms();
    let due_ms = begin_ms + FALL_MS;
    let mut pause_us = LOOK_FIRST_US;
    let mut looks = Looks {
        scope,
        is_frozen,
        members: HashMap::new(),
        order: Vec::new(),
        taken: 0,
        parents_first_until_ms: begin_ms + PARENTS_FIRST_MS,
        has_grown: false,
    };
    loop {
        let failed = match looks.take() {
            Ok(true) => return Ok(looks.halted()),
            Ok(false) if has_order(link, pause_us) => Some(Errno::CANCELED),
            Ok(false) if clock::now_ms() < due_ms => None,
            Ok(false) => Some(Errno::TIMEDOUT),
            Err(errno) => Some(errno),
        };
        if let Some(errno) = failed {
            looks.halted().resume(scope);
            return Err(errno);
        }
        // A tree that grows is to be overtaken; one that does not only needs processors.
        pause_us = if looks.has_grown { LOOK_FIRST_US } else { (pause_us * 2).min(LOOK_MAX_US) };
    }
}

/// Waits for the next look; true if there is something to read on the link before that.
fn has_order(link: Option<&OwnedFd>, pause_us: i64) -> bool {
    let pause = Timespec { tv_sec: 0, tv_nsec: pause_us * 1_000 };
    let mut link: Vec<PollFd<'_>> =
        link.iter().map(|link| PollFd::new(*link, PollFlags::IN)).collect();
    poll(&mut link, Some(&pause)).is_ok_and(|ready| ready > 0)
}

impl Halted {
    /// Continues these processes and no others: one that had stopped before stays so. Children come
    /// before their parents, so that no parent that waits for a child sees it stopped.
    pub fn resume(self, scope: Scope<'_>) {
        let is_member = |pid: Pid| self.members.contains(&pid);
        for (pid, started_at_ticks) in self.stopped.iter().rev() {
            let is_another = |stat: Stat| stat.started_at_ticks != *started_at_ticks;
            if !stat_of(*pid).is_some_and(is_another)
                && signal_member(*pid, scope.root, is_member, Signal::CONT).is_none()
            {
                // Without a descriptor to spare nothing is known of it; else it would stand for ever.
                let _ = kill_process(*pid, Signal::CONT);
            }
        }
    }
}

impl Looks<'_> {
    /// Looks at the whole tree, and stops what runs. Returns whether all of it stands.
    fn take(&mut self) -> Result<bool, Errno> {
        self.taken += 1;
        let kinship = Kinship::look(self.scope.root)?;
        let children = kinship.children_of_root(self.scope.root)?.into_iter();
        let children = children.filter(|child| !self.scope.spared.contains(child));
        // Each with whether it may be stopped.
        let mut to_visit: VecDeque<(Pid, bool)> = children.map(|child| (child, true)).collect();
        if self.taken > 2 && self.has_grown {
            self.parents_first_until_ms = 0;
        }
        let are_all_stopped = clock::now_ms() >= self.parents_first_until_ms;
        self.has_grown = false;
        let mut all_stand = true;
        while let Some((pid, may_stop)) = to_visit.pop_front() {
            all_stand &= self.visit(pid, may_stop)?;
            let stands = self.members.get(&pid).is_some_and(|it| it.state != State::Runs);
            let may_stop = stands || are_all_stopped;
            to_visit.extend(kinship.children_of(pid).into_iter().map(|child| (child, may_stop)));
        }
        // One that has gone during this look has left its children to the keeper.
        let before = self.members.len();
        let taken = self.taken;
        self.members.retain(|pid, it| it.seen_at == taken || stat_of(*pid).is_some());
        all_stand &= before == self.members.len();
        all_stand &= self.members.values().all(|member| member.seen_at == taken);
        Ok(all_stand || planted(Bug::FallLooksOnce))
    }

    /// Stops a process that runs, if it is to be stopped yet. Returns whether the children that are
    /// listed next are all that it has.
    fn visit(&mut self, pid: Pid, may_stop: bool) -> Result<bool, Errno> {
        let Some(stat) = stat_of(pid) else { return Ok(false) };
        let started_at_ticks = stat.started_at_ticks;
        let known = self.members.get(&pid).filter(|it| it.started_at_ticks == started_at_ticks);
        let (before, was_ours) = (known.map(|it| it.state), known.is_some_and(|it| it.is_ours));
        let is_frozen = (self.is_frozen)(pid);
        let state = match before {
            _ if is_frozen => State::Stands,
            Some(State::Stands) if stat.is_stopped => State::Stands,
            _ if stat.has_ended => State::Ended,
            _ => state_of(pid, was_ours),
        };
        let is_stopped_now = may_stop && state == State::Runs;
        let is_ours = was_ours || is_stopped_now || planted(Bug::WakeContinuesAll);
        let member = Member { started_at_ticks, is_ours, is_frozen, state, seen_at: self.taken };
        if self.members.insert(pid, member).is_none() {
            self.order.push(pid);
            self.has_grown = true;
        }
        if is_stopped_now {
            let is_member = |parent: Pid| self.members.contains_key(&parent);
            let sent = signal_member(pid, self.scope.root, is_member, Signal::STOP);
            if sent.is_some_and(|sent| !sent.needs_no_more) {
                return Err(Errno::PERM);
            }
        }
        Ok(match state {
            State::Runs => false,
            State::Stands => is_frozen || before.is_some(),
            // The keeper's children were listed before it ended, unless that was seen earlier.
            State::Ended => before == Some(State::Ended),
        })
    }

    fn halted(&self) -> Halted {
        let ours = |pid: &Pid| {
            let member = self.members.get(pid).filter(|member| member.is_ours)?;
            Some((*pid, member.started_at_ticks))
        };
        let stopped = self.order.iter().filter_map(ours).collect();
        let is_by_signal = |it: &Member| it.state == State::Stands && !it.is_frozen;
        let by_signal = self.members.iter().filter(|(_, member)| is_by_signal(member));
        let by_signal = by_signal.map(|(pid, _)| *pid).collect();
        Halted { stopped, by_signal, members: self.members.keys().copied().collect() }
    }
}

/// A thread in uninterruptible sleep stops before it runs again, and makes no child until then, if its
/// process was sent the signal.
fn state_of(pid: Pid, was_sent_stop: bool) -> State {
    if !is_there(pid) {
        return State::Ended;
    }
    let threads = fs::read_dir(format!("{}/task", pid.as_raw_pid()));
    let mut state = State::Ended;
    for thread in threads.into_iter().flatten().flatten() {
        let line = fs::read(thread.path().join("stat")).unwrap_or_default();
        let name_end = line.iter().rposition(|&byte| byte == b')').unwrap_or(0);
        match line.get(name_end + 2) {
            None | Some(b'Z' | b'X') => {}
            Some(b'T' | b't') => state = State::Stands,
            Some(b'D') if was_sent_stop => state = State::Stands,
            Some(_) => return State::Runs,
        }
    }
    state
}
