//! The one place that reads clocks.
//!
//! The steady clock leaves out time in which this host did not run (it was stopped, debugged, or
//! paused with its machine), so such time makes no deadline late. It shows as a gap between two
//! readings of the clock. While a task waits for something short ([`timeout`], and
//! [`Sleep::Attentive`]) the clock is read every `BEAT`, so that a gap is known exactly. An idle
//! host is not woken for that: there a gap shows when a timer fires late, and then all time since
//! the last reading is left out, since it is not known when the gap began.
#![allow(clippy::disallowed_methods, reason = "this is the module that the ban points to")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time between two readings of the clock while a task waits for something short.
const BEAT: Duration = Duration::from_millis(250);
/// In a gap longer than this the host did not run. (A busy machine may keep a thread waiting for
/// some tenths of a second.)
const LONGEST_GAP_MS: u64 = 1_000;

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Milliseconds since the first reading of the clock, gaps included.
fn raw_ms() -> u64 {
    origin().elapsed().as_millis() as u64
}

/// The same in microseconds: to measure how long something took.
pub fn precise_us() -> u64 {
    origin().elapsed().as_micros() as u64
}

/// The state of the steady clock: all times in milliseconds since the first reading.
#[derive(Clone, Copy, Debug)]
struct Steady {
    /// The last reading, gaps included.
    seen_ms: u64,
    /// The sum of the gaps that were left out, and the time up to which gaps are accounted for.
    lost_ms: u64,
    lost_until_ms: u64,
    /// The last time that it returned: it never goes back.
    shown_ms: u64,
    /// The number of tasks that read it every `BEAT`; without any, a gap means nothing.
    with_beats: u32,
    /// How long the machine has been suspended so far, which the kernel's clock leaves out by
    /// itself; `None` before the first reading.
    suspended_ms: Option<u64>,
    absences: u64,
    /// When the last absence began and ended, on the wall clock.
    last_absence: (u64, u64),
}

static STEADY: Mutex<Steady> = Mutex::new(Steady::NEW);

impl Steady {
    const NEW: Steady = Steady {
        seen_ms: 0,
        lost_ms: 0,
        lost_until_ms: 0,
        shown_ms: 0,
        with_beats: 0,
        suspended_ms: None,
        absences: 0,
        last_absence: (0, 0),
    };

    /// Notes a reading of `raw_ms`. Returns the steady time.
    fn look(&mut self, raw_ms: u64) -> u64 {
        if self.with_beats > 0 && raw_ms.saturating_sub(self.seen_ms) > LONGEST_GAP_MS {
            self.lose(self.seen_ms, raw_ms);
        }
        // Another thread may have noted a later reading.
        self.seen_ms = self.seen_ms.max(raw_ms);
        self.shown_ms = self.shown_ms.max(self.seen_ms - self.lost_ms);
        self.shown_ms
    }

    /// Notes that a timer that was due at `due_ms` fired at `raw_ms`. Returns the steady time.
    fn fired(&mut self, due_ms: u64, raw_ms: u64) -> u64 {
        if raw_ms.saturating_sub(due_ms) > LONGEST_GAP_MS {
            self.lose(due_ms.min(self.seen_ms), raw_ms);
        }
        self.look(raw_ms)
    }

    /// Leaves out the time between these two, in which the host did not run; time that is left out
    /// already is not counted twice.
    fn lose(&mut self, from_ms: u64, to_ms: u64) {
        let gap_ms = to_ms.saturating_sub(from_ms.max(self.lost_until_ms));
        self.lost_until_ms = self.lost_until_ms.max(to_ms);
        if gap_ms > LONGEST_GAP_MS {
            tracing::debug!(gap_ms, "the host did not run");
            self.lost_ms += gap_ms;
            self.was_absent(gap_ms);
        }
    }

    /// Notes how long the machine has been suspended so far.
    fn suspended(&mut self, suspended_ms: u64) {
        let before_ms = self.suspended_ms.replace(suspended_ms).unwrap_or(suspended_ms);
        let more_ms = suspended_ms.saturating_sub(before_ms);
        if more_ms > LONGEST_GAP_MS {
            self.was_absent(more_ms);
        }
    }

    fn was_absent(&mut self, for_ms: u64) {
        let now_ms = wall_ms();
        self.last_absence = (now_ms.saturating_sub(for_ms), now_ms);
        self.absences += 1;
    }
}

fn steady() -> MutexGuard<'static, Steady> {
    STEADY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While it lives, a task reads the clock every `BEAT`.
struct Attention;

impl Attention {
    fn begin() -> Attention {
        let mut steady = steady();
        steady.look(raw_ms());
        steady.with_beats += 1;
        drop(steady);
        Attention
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        steady().with_beats -= 1;
    }
}

/// Milliseconds on a clock that never jumps, without the time in which the host did not run.
pub fn steady_ms() -> u64 {
    steady().look(raw_ms())
}

/// How a sleeping task notices time in which the host did not run (see the module).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Wakes every `BEAT`, and so knows such time exactly.
    Attentive,
    /// Wakes only at the end.
    Sound,
}

/// Sleeps until the steady clock shows `at_ms`, or returns earlier: `Attentive` after at most one
/// `BEAT`, and either kind when time was left out meanwhile. Returns whether the time has come.
pub async fn sleep_until(at_ms: u64, how: Sleep) -> bool {
    let _attention = (how == Sleep::Attentive).then(Attention::begin);
    steady().suspended(suspended_ms());
    let wait = Duration::from_millis(at_ms.saturating_sub(steady_ms()));
    let wait = if how == Sleep::Attentive { wait.min(BEAT) } else { wait };
    let due = origin() + Duration::from_millis(raw_ms()) + wait;
    tokio::time::sleep_until(due.into()).await;
    let due_ms = (due - origin()).as_millis() as u64;
    let mut steady = steady();
    steady.suspended(suspended_ms());
    steady.fired(due_ms, raw_ms()) >= at_ms
}

/// The result of the work if it is done within this much steady time; otherwise `None`.
pub async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let _attention = Attention::begin();
    let until_ms = steady_ms().saturating_add(limit.as_millis() as u64);
    let late = async { while !sleep_until(until_ms, Sleep::Attentive).await {} };
    let (mut work, mut late) = (pin!(work), pin!(late));
    // The work is polled first: a result in the last moment counts.
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => late.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// How often the host did not run, and when the last such time began and ended, in milliseconds
/// since the epoch.
pub fn last_absence() -> (u64, (u64, u64)) {
    let Steady { absences, last_absence, .. } = *steady();
    (absences, last_absence)
}

/// Milliseconds since the epoch.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The present, for measuring a duration.
pub fn start() -> Instant {
    Instant::now()
}

/// The kernel's steady clock, on which timers are set: it goes on while the host does not run, and
/// stands still while the machine is suspended.
pub fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// How long the machine has been suspended since boot, in milliseconds: `CLOCK_BOOTTIME` counts
/// that time, `CLOCK_MONOTONIC` does not.
fn suspended_ms() -> u64 {
    since_boot_ms().saturating_sub(monotonic().as_millis() as u64)
}

/// Milliseconds since boot: the clock on which the kernel counts the starts of processes.
pub fn since_boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_left_out_while_the_clock_is_read_regularly() {
        let mut steady = Steady { with_beats: 1, ..Steady::NEW };
        assert_eq!(steady.look(250), 250);
        assert_eq!(steady.look(1_000), 1_000, "a busy machine");
        assert_eq!(steady.look(34_000), 1_000);
        assert_eq!(
            steady.fired(1_250, 34_000),
            1_000,
            "once, whether a reading or a timer shows it"
        );
        assert_eq!(steady.look(34_250), 1_250);
        assert_eq!(steady.look(34_100), 1_250, "it never goes back");
        assert_eq!(steady.absences, 1);
        let (from_ms, to_ms) = steady.last_absence;
        assert_eq!(to_ms - from_ms, 33_000);
    }

    #[test]
    fn without_regular_readings_only_a_late_timer_shows_a_gap() {
        let mut steady = Steady::NEW;
        assert_eq!(steady.look(100), 100);
        assert_eq!(steady.look(60_000), 60_000, "nothing was to be done");
        assert_eq!(steady.fired(70_000, 70_400), 70_400, "a little late");
        assert_eq!(steady.fired(80_000, 100_400), 70_400, "all since the last look");
        assert_eq!(steady.fired(90_000, 100_500), 70_500, "it is known already");
        assert_eq!(steady.look(130_500), 100_500, "another thread looks first");
        assert_eq!(steady.fired(110_500, 130_600), 100_500, "it never goes back");
        assert_eq!(steady.look(150_700), 100_600);
    }

    #[test]
    fn a_suspended_machine_is_an_absence_that_the_clock_leaves_out_by_itself() {
        let mut steady = Steady::NEW;
        steady.suspended(60_000);
        steady.suspended(60_001);
        assert_eq!(steady.absences, 0, "the two clocks are not read at once");
        steady.suspended(90_001);
        assert_eq!((steady.absences, steady.lost_ms), (1, 0));
    }

    #[tokio::test]
    async fn a_timeout_is_what_is_said_and_gives_what_comes_first() {
        let watch = start();
        assert_eq!(timeout(Duration::from_millis(20), std::future::pending::<()>()).await, None);
        assert!(watch.elapsed() >= Duration::from_millis(20));
        assert_eq!(timeout(Duration::ZERO, std::future::ready(7)).await, Some(7));
    }
}
