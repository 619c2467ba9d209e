//! Kills a whole tree, until nothing of it is left.

use std::collections::{HashMap, VecDeque};

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::clock;
use crate::priority;
use crate::tree::{Kinship, Scope, Signalled, has_no_thread, signal_member, stat_of};

/// The most looks at a tree in one round, which end earlier when no new member shows up. A tree
/// that still grows after that grows faster than it can be stopped, or is so large that its last
/// processes take a while to get a processor and stop; killing the known members first helps more.
const LOOKS_MAX: usize = 4;

/// The first pause between two rounds. Killed processes are gone in far less; it matters only for
/// processes that appeared during a round.
const PAUSE_FIRST_MS: u64 = 2;

/// The longest pause, for processes that cannot die yet because they wait in the kernel for a
/// device or a network file system.
const PAUSE_MAX_MS: u64 = 500;

/// From this many members on, killed processes die one after the other (see [`priority::hasten`]).
const MANY: usize = 100;

/// A process that has ended and could not be reaped for this long is held by a tracer outside the
/// tree, which has to wait for it first and may never do so. It runs no code and holds no
/// resources.
const HELD_AFTER_MS: u64 = 100;

/// The killing of a tree, round by round, until the caller finds that it is gone. Dropping it
/// sends nothing; processes that a round has stopped were also killed in it.
#[derive(Debug)]
pub struct TreeKill {
    due_ms: u64,
    pause_ms: u64,
    /// Processes that were killed, each with its start time. They may take a while to be gone, but
    /// make no process any more, and need no second signal.
    killed: HashMap<Pid, u64>,
    /// Since when all remaining processes have ended without being reaped.
    ended_since_ms: Option<u64>,
}

impl TreeKill {
    /// The first round is due at once.
    pub fn new() -> Self {
        TreeKill {
            due_ms: 0,
            pause_ms: PAUSE_FIRST_MS,
            killed: HashMap::new(),
            ended_since_ms: None,
        }
    }

    /// The time until the next round.
    pub fn remaining_ms(&self, now_ms: u64) -> u64 {
        self.due_ms.saturating_sub(now_ms)
    }

    /// If a round is due, stops every member of the tree, then kills them all.
    pub fn round(&mut self, now_ms: u64, scope: Scope<'_>) -> Found {
        if now_ms < self.due_ms {
            return Found::NotLooked;
        }
        priority::take_precedence();
        // Stopped first, so that none can fork or restart another while they are killed.
        let mut tree = Tree { root: scope.root, killed: &self.killed, members: HashMap::new() };
        let children = tree.look(scope);
        for _ in 1..LOOKS_MAX {
            let before = tree.members.len();
            let _ = tree.look(scope);
            if tree.members.len() == before {
                break;
            }
        }
        let new = tree.kill();
        priority::give_way();
        let is_quiet = new.is_empty();
        self.pause_ms =
            if is_quiet { (self.pause_ms * 2).min(PAUSE_MAX_MS) } else { PAUSE_FIRST_MS };
        // Killed processes need processors to die, so the pause is at least as long as the round
        // took.
        let end_ms = clock::now_ms();
        self.due_ms = end_ms + self.pause_ms.max(end_ms - now_ms);
        self.killed.extend(new);
        match children {
            Ok(children) if children.is_empty() => Found::Empty,
            Ok(children) if is_quiet && self.are_held(&children, end_ms) => Found::Held,
            Ok(_) => Found::Some,
            Err(_) => Found::Unseen,
        }
    }

    /// Whether all remaining children have ended, and long enough ago to have been reaped.
    fn are_held(&mut self, children: &[Pid], now_ms: u64) -> bool {
        let have_ended = children.iter().all(|child| has_no_thread(*child));
        self.ended_since_ms = have_ended.then(|| self.ended_since_ms.unwrap_or(now_ms));
        self.ended_since_ms.is_some_and(|since_ms| now_ms - since_ms >= HELD_AFTER_MS)
    }
}

/// What a round found of the root's children, ended but unreaped ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No round was due.
    NotLooked,
    /// The look failed, so it is not known whether there are any.
    Unseen,
    /// There are none.
    Empty,
    /// All of them have ended, and a tracer keeps them from being reaped.
    Held,
    /// There are some.
    Some,
}

/// The tree as one round finds it.
struct Tree<'a> {
    root: Pid,
    killed: &'a HashMap<Pid, u64>,
    members: HashMap<Pid, Member>,
}

struct Member {
    started_at_ticks: u64,
    /// It was killed in an earlier round.
    was_killed: bool,
    /// It could not fork any more when its children were last listed.
    is_complete: bool,
}

impl Tree<'_> {
    /// Walks the tree, parents before children, and stops new members. Returns the children of the
    /// root.
    fn look(&mut self, scope: Scope<'_>) -> Result<Vec<Pid>, Errno> {
        let kinship = Kinship::look(scope.root)?;
        let mut children = kinship.children_of_root(scope.root)?;
        children.retain(|child| !scope.spared.contains(child));
        let incomplete = |(pid, member): (&Pid, &Member)| (!member.is_complete).then_some(*pid);
        let mut parents: VecDeque<Pid> = self.members.iter().filter_map(incomplete).collect();
        parents.extend(self.add_new(children.clone()));
        while let Some(parent) = parents.pop_front() {
            let is_complete = self.is_at_rest(parent);
            let new = self.add_new(kinship.children_of(parent));
            parents.extend(new);
            if let Some(member) = self.members.get_mut(&parent) {
                member.is_complete = is_complete;
            }
        }
        Ok(children)
    }

    /// Adds processes that are not known yet to the members, and stops them. Returns those that
    /// were added.
    fn add_new(&mut self, pids: Vec<Pid>) -> Vec<Pid> {
        pids.into_iter().filter(|pid| !self.members.contains_key(pid) && self.add(*pid)).collect()
    }

    fn add(&mut self, pid: Pid) -> bool {
        let if_killed = |ticks: &u64| stat_of(pid).filter(|stat| stat.started_at_ticks == *ticks);
        let killed = self.killed.get(&pid).and_then(if_killed);
        let stop = || self.signal(pid, Signal::STOP).map(|stopped| stopped.stat);
        let Some(stat) = killed.or_else(stop) else { return false };
        let member = Member {
            started_at_ticks: stat.started_at_ticks,
            was_killed: killed.is_some(),
            is_complete: false,
        };
        self.members.insert(pid, member);
        true
    }

    fn is_at_rest(&self, pid: Pid) -> bool {
        let was_killed = self.members.get(&pid).is_some_and(|member| member.was_killed);
        was_killed || stat_of(pid).is_none_or(|stat| stat.is_stopped || stat.has_ended)
    }

    fn signal(&self, pid: Pid, signal: Signal) -> Option<Signalled> {
        signal_member(pid, self.root, |parent| self.members.contains_key(&parent), signal)
    }

    fn has_many(&self) -> bool {
        self.members.len() >= MANY
    }

    /// Kills the members that were not killed before, and returns them.
    fn kill(&self) -> Vec<(Pid, u64)> {
        let mut killed = Vec::new();
        for (&pid, member) in self.members.iter().filter(|(_, member)| !member.was_killed) {
            if self.has_many() {
                // It and its parent are stopped, so its pid was not reused.
                priority::hasten(pid);
            }
            if self.signal(pid, Signal::KILL).is_some_and(|signalled| signalled.needs_no_more) {
                killed.push((pid, member.started_at_ticks));
            }
        }
        killed
    }
}
