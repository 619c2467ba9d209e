//! Sleepers that run without an order: something has continued their tree, or it could not be made to
//! stand once more.
//!
//! | a sleeper that | |
//! |---|---|
//! | nobody was told of yet | is awake, and kept so for a sweep |
//! | has done so at most [`RESTS_AGAIN_MAX`] times within [`WITHIN_MS`] | is to stand again at once: that tells nobody anything, and takes no room, as a breath does not |
//! | has done so more often, where there is room now | is awake |
//! | the same where there is none | is stopped: nobody wants it, so nobody leaves for it, and it must not run beside those that have room |
//! | waits for room to wake, or for its next release, where there is none | is to stand again, however often |
//!
//! One that has done so more often is not to sleep for [`WITHIN_MS`].

use crate::RunId;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::sleep::Wakefulness;
use crate::slumber::Doze;
use crate::tenant::Cause;

/// An operator, or a signal that has gone astray, does not wake a tenant for its users. One that
/// wakes itself uses a few milliseconds each time until that is noticed.
const RESTS_AGAIN_MAX: u32 = 3;
const WITHIN_MS: u64 = 60_000;

/// How often a sleeper has run without an order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stirs {
    count: u32,
    since_ms: u64,
}

impl Stirs {
    /// Counts one more. Returns whether they are too many.
    fn count(&mut self, now_ms: u64) -> bool {
        if self.count == 0 || now_ms - self.since_ms >= WITHIN_MS {
            *self = Stirs { count: 0, since_ms: now_ms };
        }
        self.count += 1;
        self.count > RESTS_AGAIN_MAX && !planted(Bug::StirsAreNotCounted)
    }
}

impl Wakefulness {
    fn stays_for_long(&mut self, now_ms: u64) {
        self.kept_until_ms = self.kept_until_ms.max(now_ms.saturating_add(WITHIN_MS));
    }
}

impl Pool {
    /// The run's tree runs, and was to stand.
    pub(crate) fn stirs(&mut self, step: &mut Step, id: RunId) {
        let now_ms = step.now.steady_ms;
        let Some((run, slumber)) = self.slumber_of(id) else { return };
        let (doze, depth) = (slumber.doze, slumber.depth);
        if matches!(doze, Doze::Rousing | Doze::Inhaling | Doze::Breathing) {
            // It was told to run.
            return;
        }
        let is_restless = run.wakefulness.stirs.count(now_ms);
        if is_restless {
            run.wakefulness.stays_for_long(now_ms);
        }
        self.sleepers.is_not_checked(id);
        self.looks.ask_no_more(id);
        if depth.is_none() {
            return self.has_not_fallen_asleep(step, id);
        }
        let has_room = !self.room.is_full() || planted(Bug::StirsTakeRoom);
        if is_restless && (has_room || self.may_be_stopped(id)) {
            return self.cannot_be_kept_asleep(step, id, has_room);
        }
        if !matches!(doze, Doze::AwaitingRoom { .. }) {
            self.set_doze(id, Doze::Falling);
        }
        self.rest_again(id);
    }

    fn has_not_fallen_asleep(&mut self, step: &mut Step, id: RunId) {
        self.room.leaving -= 1;
        self.is_awake(step, id);
        self.keep_awake(step, id);
    }

    fn cannot_be_kept_asleep(&mut self, step: &mut Step, id: RunId, has_room: bool) {
        if let Some((_, slumber)) = self.slumber_of(id) {
            slumber.is_restless = true;
        }
        match has_room {
            true => self.wake(id),
            false => self.begin_stop(step, id, Cause::Evicted),
        }
    }
}
