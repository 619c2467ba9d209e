//! What goes wrong on one way to the store.

use crate::{Result, StoreError};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub is_reachable: bool,
    pub are_watches_silent: bool,
    /// How often the watches of this way were broken off.
    pub breaks: u64,
    pub answers_to_lose: usize,
    pub requests_to_lose: usize,
    /// There, and back.
    pub delays: (Duration, Duration),
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            is_reachable: true,
            are_watches_silent: false,
            breaks: 0,
            answers_to_lose: 0,
            requests_to_lose: 0,
            delays: (Duration::ZERO, Duration::ZERO),
        }
    }
}

impl Faults {
    pub fn check_reachable(&self) -> Result<()> {
        match self.is_reachable {
            true => Ok(()),
            false => Err(StoreError::Unreachable("a fault is switched on".to_owned())),
        }
    }

    pub fn lose_request(&mut self) -> Result<()> {
        lose(&mut self.requests_to_lose)
    }

    pub fn lose_answer(&mut self) -> Result<()> {
        lose(&mut self.answers_to_lose)
    }
}

fn lose(count: &mut usize) -> Result<()> {
    if *count == 0 {
        return Ok(());
    }
    *count -= 1;
    Err(StoreError::Unknown("the answer was lost".to_owned()))
}
