//! The figures of this moment, in memory that JavaScript reads without a call: `stats()` is asked for often.

use pool::Figures;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many numbers there are.
pub const BOARD_NUMBERS: usize = 6;
/// Records that wait to be taken.
const QUEUED: usize = 4;
/// Failed starts so far.
const FAILURES: usize = 5;

/// Running, total, draining (0 or 1), and how many keys have failed and are remembered, as the bits of `f64`s. How many of
/// those are backing off depends on the time, so while there are any, it has to be asked for. Then the number of records in
/// the uplink's queue, and of failed starts so far.
#[derive(Default)]
pub struct Board {
    pub numbers: [AtomicU64; BOARD_NUMBERS],
}

impl Board {
    pub fn show(&self, figures: Figures) {
        let Figures { running, total, draining, failing, failures } = figures;
        let numbers = [running as f64, total as f64, f64::from(u8::from(draining)), failing as f64];
        for (cell, number) in self.numbers.iter().zip(numbers) {
            cell.store(number.to_bits(), Ordering::Release);
        }
        self.numbers[FAILURES].store((failures as f64).to_bits(), Ordering::Release);
    }

    pub fn show_queued(&self, records: usize) {
        self.numbers[QUEUED].store((records as f64).to_bits(), Ordering::Release);
    }

    #[cfg(test)]
    pub fn queued(&self) -> usize {
        f64::from_bits(self.numbers[QUEUED].load(Ordering::Acquire)) as usize
    }
}
