//! How much CPU time tenants use by themselves.
//!
//! What an awake tenant has used is marked at some moments. Between a mark that was taken after its
//! last use and now, all that it has used was its own. Of one that was used since, all that it has
//! used is at least no less: if that is little, it is not busy. So it is mostly known at once, when
//! one that was just used is to make room. Time in which it slept does not count.

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use linux::process::accounting::Root;
use linux::threads::clock::Sleep;
use pool::RunId;
use std::sync::Arc;

/// What counts is the use over so long.
const SPAN_MS: u64 = 10_000;
/// A tenant that uses more than one in so many milliseconds is busy.
const BUSY_FROM: u64 = 100;
/// The CPU time of a tree is told in such steps.
const STEP_MS: u64 = 10;
/// The time between two looks which tenants are to be marked: a third of that after which they may
/// sleep, within these bounds.
const SHORTEST_INTERVAL_MS: u64 = 100;
const LONGEST_INTERVAL_MS: u64 = 3_000;
/// With less time since its last use it is not known whether a tenant is busy; or half of the time
/// after which it may sleep, if that is shorter.
const SHORTEST_SPAN_MS: u64 = 1_000;

/// What a tree had used at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuMark {
    pub at_ms: u64,
    /// The same moment in milliseconds since the epoch, as touches have it.
    pub wall_ms: u64,
    pub cpu_ms: u64,
}

impl CpuMark {
    /// Whether more than a little was used since then; `None`: that is not long enough ago.
    fn is_busy_since(&self, since: CpuMark, shortest_ms: u64) -> Option<bool> {
        let span_ms = self.at_ms.saturating_sub(since.at_ms);
        let used_ms = self.cpu_ms.saturating_sub(since.cpu_ms);
        (span_ms >= shortest_ms).then_some(used_ms > (span_ms / BUSY_FROM).max(STEP_MS))
    }
}

/// The last two marks of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuMarks {
    before: Option<CpuMark>,
    last: Option<CpuMark>,
    /// When it had last been used as it was looked at, and is to be looked at again.
    waits_since: Option<u64>,
}

/// Whether a run is busy by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Since {
        is_busy: bool,
    },
    /// It will be known after so long.
    In {
        ms: u64,
    },
}

impl CpuMarks {
    pub fn add(&mut self, mark: CpuMark) {
        self.before = self.last.replace(mark);
    }

    /// The earlier one of the marks for which this holds, unless the last one is old enough.
    fn since(&self, now_ms: u64, holds: impl Fn(&CpuMark) -> bool) -> Option<CpuMark> {
        let last = self.last.filter(|mark| holds(mark))?;
        let is_long = last.at_ms + SPAN_MS <= now_ms;
        let earlier = self.before.filter(|mark| holds(mark)).filter(|_| !is_long);
        Some(earlier.unwrap_or(last))
    }

    /// Whether the run, last used at that time, is to be marked: it never was; not for long; or not
    /// since its last use, which is a while ago.
    fn is_due(&self, touched_at_ms: u64, now: (u64, u64), unused_for_ms: u64) -> bool {
        let (at_ms, wall_ms) = now;
        self.last.is_none_or(|last| {
            let is_own = last.wall_ms > touched_at_ms;
            last.at_ms + SPAN_MS <= at_ms || (!is_own && touched_at_ms + unused_for_ms <= wall_ms)
        })
    }

    /// Whether the run is busy by itself, if that is known for long enough. If not, what is known
    /// begins now at the latest.
    pub fn is_busy(&mut self, touched_at_ms: u64, now: CpuMark, shortest_ms: u64) -> Known {
        let own = self.since(now.at_ms, |mark| mark.wall_ms > touched_at_ms);
        let known = own.and_then(|since| now.is_busy_since(since, shortest_ms));
        let with_uses = || {
            let since = self.since(now.at_ms, |_| true)?;
            now.is_busy_since(since, shortest_ms).filter(|is_busy| !is_busy)
        };
        if let Some(is_busy) = known.or_else(with_uses) {
            self.waits_since = None;
            return Known::Since { is_busy };
        }
        let since = own.unwrap_or_else(|| {
            self.add(now);
            now
        });
        Known::In { ms: shortest_ms.saturating_sub(now.at_ms.saturating_sub(since.at_ms)) }
    }

    /// The run has slept for so long.
    pub fn has_slept(&mut self, ms: u64) {
        for mark in [&mut self.before, &mut self.last].into_iter().flatten() {
            mark.at_ms += ms;
            mark.wall_ms += ms;
        }
    }

    /// The run is to be looked at again, unless it was used since it was said so first: then this
    /// returns true.
    pub fn was_used_since_look(&mut self, touched_at_ms: u64) -> bool {
        match self.waits_since.take() {
            Some(before_ms) if before_ms != touched_at_ms => true,
            _ => {
                self.waits_since = Some(touched_at_ms);
                false
            }
        }
    }
}

/// For how long at least it must be known what a tenant uses.
pub(super) fn shortest_span_ms(after_ms: u64) -> u64 {
    SHORTEST_SPAN_MS.min(after_ms / 2)
}

impl<M: Machine> Driver<M> {
    /// Marks what awake tenants have used, again and again. Returns at once if none sleep.
    pub(crate) async fn mark_cpu(self: &Arc<Self>) {
        let Some(sleep) = self.settings.pool.sleep else { return };
        let interval_ms = (sleep.after_ms / 3).clamp(SHORTEST_INTERVAL_MS, LONGEST_INTERVAL_MS);
        loop {
            let next_ms = self.machine.steady_ms() + interval_ms;
            while !self.machine.sleep_until(next_ms, Sleep::Sound).await {}
            let (engine, runs, trees) = {
                let core = self.lock();
                let Some(engine) = core.engine.engine().cloned() else { continue };
                let (runs, trees): (Vec<RunId>, Vec<Root>) =
                    self.trees_to_mark(&core, interval_ms).unzip();
                (engine, runs, trees)
            };
            if trees.is_empty() {
                continue;
            }
            let Ok(used) = engine.cpu_ms_of(trees).await else { continue };
            let (at_ms, wall_ms) = (self.machine.steady_ms(), self.machine.wall_ms());
            let mut core = self.lock();
            let Some(sleeping) = &mut core.sleeping else { return };
            for (run, cpu_ms) in runs.into_iter().zip(used) {
                let is_awake = !sleeping.resting.contains_key(&run);
                if let Some(cpu_ms) = cpu_ms.filter(|_| is_awake) {
                    let marks = sleeping.cpu_marks.entry(run).or_default();
                    marks.add(CpuMark { at_ms, wall_ms, cpu_ms });
                }
            }
            let core = &mut *core;
            if let Some(sleeping) = &mut core.sleeping {
                sleeping.cpu_marks.retain(|run, _| core.runs.contains_key(run));
            }
        }
    }

    /// The trees of awake tenants that are to be marked.
    fn trees_to_mark<'a>(
        &self,
        core: &'a Core<M>,
        unused_for_ms: u64,
    ) -> impl Iterator<Item = (RunId, Root)> + use<'a, M> {
        let now = (self.machine.steady_ms(), self.machine.wall_ms());
        core.runs.iter().filter_map(move |(run, handle)| {
            let (sleeping, root) = (core.sleeping.as_ref()?, handle.root?);
            let lease = core.leases.lease(*run)?;
            let touched_at_ms = if lease.uses() == 0 { lease.touched_at_ms() } else { now.1 };
            let marks = sleeping.cpu_marks.get(run).copied().unwrap_or_default();
            let is_due = marks.is_due(touched_at_ms, now, unused_for_ms);
            (is_due && !sleeping.resting.contains_key(run)).then_some((*run, root))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at_ms: u64, cpu_ms: u64) -> CpuMark {
        CpuMark { at_ms, wall_ms: at_ms, cpu_ms }
    }

    fn marked(marks: &[(u64, u64)]) -> CpuMarks {
        let mut all = CpuMarks::default();
        marks.iter().for_each(|(at_ms, cpu_ms)| all.add(mark(*at_ms, *cpu_ms)));
        all
    }

    fn is_busy(is_busy: bool) -> Known {
        Known::Since { is_busy }
    }

    #[test]
    fn more_than_a_hundredth_of_ten_seconds_is_busy() {
        let mut marks = marked(&[(1_000, 500), (11_000, 500)]);
        assert_eq!(marks.is_busy(0, mark(21_000, 600), 1_000), is_busy(false));
        assert_eq!(marks.is_busy(0, mark(21_000, 601), 1_000), is_busy(true));
    }

    #[test]
    fn what_starts_and_requests_use_does_not_count() {
        let mut marks = marked(&[(1_000, 100), (5_000, 9_000)]);
        // It was last used at 3 s.
        assert_eq!(marks.is_busy(3_000, mark(15_000, 9_050), 1_000), is_busy(false));
    }

    #[test]
    fn it_is_known_some_time_after_the_last_use() {
        let mut marks = marked(&[(1_000, 100)]);
        assert_eq!(marks.is_busy(5_000, mark(6_000, 900), 1_000), Known::In { ms: 1_000 });
        assert!(!marks.was_used_since_look(5_000));
        assert_eq!(marks.is_busy(5_000, mark(6_900, 900), 1_000), Known::In { ms: 100 });
        assert!(!marks.was_used_since_look(5_000));
        assert_eq!(marks.is_busy(5_000, mark(7_000, 910), 1_000), is_busy(false), "one step");
        assert_eq!(marks.is_busy(5_000, mark(7_000, 920), 1_000), is_busy(true));
    }

    #[test]
    fn one_that_was_just_used_is_known_not_to_be_busy_if_it_has_used_little_in_all() {
        let mut marks = marked(&[(1_000, 100), (11_000, 180)]);
        assert_eq!(marks.is_busy(13_900, mark(14_000, 220), 1_000), is_busy(false));
        assert_eq!(marks.is_busy(13_900, mark(14_000, 240), 1_000), Known::In { ms: 1_000 });
    }

    #[test]
    fn time_asleep_does_not_count() {
        let mut marks = marked(&[(1_000, 100), (2_000, 100)]);
        marks.has_slept(600_000);
        assert_eq!(marks.is_busy(602_500, mark(602_600, 115), 1_000), is_busy(false));
        assert_eq!(marks.is_busy(602_500, mark(602_600, 130), 1_000), Known::In { ms: 1_000 });
    }

    #[test]
    fn a_use_meanwhile_ends_the_wait() {
        let mut marks = CpuMarks::default();
        assert_eq!(marks.is_busy(500, mark(1_000, 0), 1_000), Known::In { ms: 1_000 });
        assert!(!marks.was_used_since_look(500));
        assert_eq!(marks.is_busy(1_500, mark(1_900, 50), 1_000), Known::In { ms: 1_000 });
        assert!(marks.was_used_since_look(1_500));
    }

    #[test]
    fn a_mark_is_due_at_first_after_a_use_and_every_ten_seconds() {
        let marks = marked(&[(1_000, 100)]);
        let at = |ms| (ms, ms);
        assert!(CpuMarks::default().is_due(0, at(1), 500));
        assert!(!marks.is_due(500, at(10_999), 500));
        assert!(marks.is_due(500, at(11_000), 500));
        assert!(!marks.is_due(1_000, at(1_499), 500), "it may be used again at once");
        assert!(marks.is_due(1_000, at(1_500), 500));
    }
}
