//! Signalling whole trees: once, politely, or until nothing is left.

use std::collections::HashSet;

use rustix::process::{Pid, Signal, kill_process_group};
use warden::planted::{Bug, planted};

use crate::tree::{Scope, descendants, pid_of, signal_member, stat_of};

/// How often a tree is looked at until no new member shows up. A tree that still grows after that is growing faster
/// than it can be stopped, and is better thinned out first.
const LOOKS_MAX: usize = 16;

/// The first pause between two rounds of killing. Killed processes are gone in far less; it matters only for those
/// that appeared during a round.
const PAUSE_FIRST_MS: u64 = 2;

/// The longest pause, for processes that cannot die just now because a device or a network file system holds them.
const PAUSE_MAX_MS: u64 = 500;

/// Sends `SIGTERM` once to every process of the group. Stopped processes are continued, else they would see it only after
/// they were killed.
pub fn terminate_group(group: Pid) {
    if planted(Bug::TermIsSentTwice) {
        let _ = kill_process_group(group, Signal::TERM);
        std::thread::yield_now();
    }
    for signal in [Signal::TERM, Signal::CONT] {
        // Fails only if every process of the group has ended.
        let _ = kill_process_group(group, signal);
    }
}

/// The same for every descendant of `scope` that is not in the group. Finding them means asking about every thread.
pub fn terminate_outsiders(scope: Scope<'_>, group: Pid) {
    let members: HashSet<Pid> = descendants(scope).into_iter().collect();
    let is_outside = |pid: &&Pid| stat_of(**pid).is_some_and(|stat| pid_of(stat.group) != Some(group));
    for &pid in members.iter().filter(is_outside) {
        for signal in [Signal::TERM, Signal::CONT] {
            signal_member(pid, scope, &members, signal);
        }
    }
}

/// The killing of a tree, round by round, until the caller finds that it is gone.
#[derive(Debug)]
pub struct Hunt {
    due_ms: u64,
    pause_ms: u64,
    struck: HashSet<Pid>,
}

impl Hunt {
    /// A hunt whose first round is due at once.
    pub fn new() -> Self {
        Hunt { due_ms: 0, pause_ms: PAUSE_FIRST_MS, struck: HashSet::new() }
    }

    /// How long until the next round.
    pub fn remaining_ms(&self, now_ms: u64) -> u64 {
        self.due_ms.saturating_sub(now_ms)
    }

    /// If a round is due, stops every member of the tree, then kills them all; returns how many there were, ended but
    /// unreaped ones included.
    pub fn round(&mut self, now_ms: u64, scope: Scope<'_>) -> Option<usize> {
        if now_ms < self.due_ms {
            return None;
        }
        // Stopped first, so that nobody multiplies or restarts the others while they are killed.
        let members = settle(scope, |pid, members| signal_member(pid, scope, members, Signal::STOP));
        for &pid in &members {
            signal_member(pid, scope, &members, Signal::KILL);
        }
        let has_grown = members.iter().any(|pid| !self.struck.contains(pid));
        self.pause_ms = if has_grown { PAUSE_FIRST_MS } else { (self.pause_ms * 2).min(PAUSE_MAX_MS) };
        self.due_ms = now_ms + self.pause_ms;
        self.struck = members;
        Some(self.struck.len())
    }
}

/// Looks at the tree until no new member shows up.
fn settle(scope: Scope<'_>, mut on_new: impl FnMut(Pid, &HashSet<Pid>)) -> HashSet<Pid> {
    let mut members = HashSet::new();
    for _ in 0..LOOKS_MAX {
        let new: Vec<Pid> = descendants(scope).into_iter().filter(|pid| !members.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        members.extend(new.iter().copied());
        for pid in new {
            on_new(pid, &members);
        }
    }
    members
}
