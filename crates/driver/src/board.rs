//! The current figures, in memory that JavaScript reads without a call, since `stats()` is called
//! often.

use pool::Figures;
use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers on the board, in their order in memory. `npm run records` prints JavaScript's
/// indices from this list.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// As [`Stats::running`](pool::Stats::running).
    Running,
    /// As [`Stats::total`](pool::Stats::total).
    Total,
    /// As [`Stats::draining`](pool::Stats::draining): 0 or 1.
    Draining,
    /// Keys with failures. How many of them are backing off depends on the time, so JavaScript
    /// asks for that with a call while this is not 0.
    Failing,
    /// Failed starts so far.
    Failures,
    /// Records that JavaScript has not taken.
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
        let Figures { running, total, draining, asleep: _, failing, failures } = figures;
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
