//! Sees that a tree that was stopped by signals runs without an order. Anything that may send SIGCONT
//! to a process of it lets it run: a timer of its own, a neighbour of the same user, an operator.
//!
//! While nothing runs, this costs next to nothing for thousands of trees. The keeper looks when
//!
//! * a child of it is continued, of which the kernel tells a parent;
//! * a process of the tree has used some CPU time, of which an alarm on its clock tells. The kernel looks
//!   at such alarms at its ticks;
//! * some time is over: a program may run between two ticks, or have started another one by then.
//!
//! What has used CPU time is known by the clocks of those that stood, whatever they do by now: none can
//! start another without running itself.

use rustix::process::Pid;

use warden::planted::{Bug, planted};

use crate::clock;
use crate::sys::{self, CpuAlarm};

/// What a tree may use without counting as one that runs: the rest of the way until its threads
/// have stopped.
const SLACK_NS: u64 = 1_000_000;

/// More alarms than this for one tree are not set: a user may have some thousands of them, and there
/// may be thousands of trees.
const ALARMS_MAX: usize = 16;

/// The time between two looks that nothing has asked for. Each takes some 40 µs of a busy machine, so two
/// thousand keepers use 0.03 % of a core for them.
const LOOK_INTERVAL_MS: u64 = 300_000;
/// The same of a tree of which not every process has an alarm.
const LOOK_SOON_MS: u64 = 2_000;

/// The vigil over a tree that stands.
pub struct Vigil {
    watched: Vec<Watched>,
    interval_ms: u64,
    next_look_ms: u64,
}

struct Watched {
    pid: Pid,
    /// Its CPU time when it has run.
    has_run_ns: u64,
    _alarm: Option<CpuAlarm>,
}

impl Vigil {
    /// Over these processes, which stand by a signal.
    pub fn over(processes: &[Pid]) -> Vigil {
        let watch = |(place, pid): (usize, &Pid)| {
            let has_run_ns = sys::cpu_time_ns(*pid)? + SLACK_NS;
            let is_one_more = place < ALARMS_MAX;
            let alarm = is_one_more.then(|| CpuAlarm::set(*pid, SLACK_NS).ok()).flatten();
            Some(Watched { pid: *pid, has_run_ns, _alarm: alarm })
        };
        let processes = if planted(Bug::NobodyKeepsVigil) { &[] } else { processes };
        let watched: Vec<Watched> = processes.iter().enumerate().filter_map(watch).collect();
        let all_have_alarms = watched.iter().all(|it| it._alarm.is_some());
        let interval_ms = if all_have_alarms { LOOK_INTERVAL_MS } else { LOOK_SOON_MS };
        Vigil { watched, interval_ms, next_look_ms: clock::now_ms() + interval_ms }
    }

    /// That children were continued until now means nothing. To be called before they are stopped.
    pub fn forget_the_past() {
        while sys::continued_child().is_some() {}
    }

    /// Whether anything of the tree has run since it stood.
    pub fn sees_it_run(&mut self) -> bool {
        self.next_look_ms = clock::now_ms() + self.interval_ms;
        self.is_child_continued() || self.watched.iter().any(Watched::has_run)
    }

    fn is_child_continued(&self) -> bool {
        let mut continued = std::iter::from_fn(sys::continued_child);
        continued.any(|child| self.watched.iter().any(|it| it.pid == child))
    }

    /// The time until the next look; `None` if none is needed.
    pub fn remaining_ms(&self) -> Option<u64> {
        let is_needed = !self.watched.is_empty();
        is_needed.then(|| self.next_look_ms.saturating_sub(clock::now_ms()))
    }
}

impl Watched {
    fn has_run(&self) -> bool {
        sys::cpu_time_ns(self.pid).is_some_and(|used_ns| used_ns >= self.has_run_ns)
    }
}
