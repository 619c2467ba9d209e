//! The figures of this moment, in memory that JavaScript reads without a call: `stats()` is asked
//! for often.

use pool::Figures;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is on the board, in the order in which it lies there: JavaScript's places are printed from
/// here (`npm run records`).
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// As in [`Stats`](pool::Stats).
    Running,
    /// As in [`Stats`](pool::Stats).
    Total,
    /// As in [`Stats`](pool::Stats): 0 or 1.
    Draining,
    /// Keys that have failed and are remembered. How many of those are backing off depends on the
    /// time, so while there are any, it has to be asked for.
    Failing,
    /// Failed starts so far.
    Failures,
    /// Records that wait to be taken.
    Queued,
}

pub const PLACES: [Place; 6] =
    [Place::Running, Place::Total, Place::Draining, Place::Failing, Place::Failures, Place::Queued];

/// A number for each place, as the bits of an `f64`.
#[derive(Default)]
pub struct Board {
    pub numbers: [AtomicU64; PLACES.len()],
}

impl Board {
    pub fn show(&self, figures: Figures) {
        let Figures { running, total, draining, failing, failures } = figures;
        self.set(Place::Running, running as f64);
        self.set(Place::Total, total as f64);
        self.set(Place::Draining, draining.into());
        self.set(Place::Failing, failing as f64);
        self.set(Place::Failures, failures as f64);
    }

    pub fn show_queued(&self, records: usize) {
        self.set(Place::Queued, records as f64);
    }

    fn set(&self, place: Place, number: f64) {
        self.numbers[place as usize].store(number.to_bits(), Ordering::Release);
    }

    #[cfg(test)]
    pub fn queued(&self) -> usize {
        f64::from_bits(self.numbers[Place::Queued as usize].load(Ordering::Acquire)) as usize
    }
}
