//! What gateways have to know of the fleet that their runtime is in.

use super::operators::Operators;
use super::peers::Peers;
use member::Member;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A runtime's part in a fleet.
pub struct Side {
    pub member: Member,
    pub peers: Peers,
    pub operators: Arc<Operators>,
    /// Where this host listens for others.
    pub address: String,
}

/// The fleet that a runtime is in, if it is in one.
#[derive(Default)]
pub struct Slot {
    /// Looked at by each request: without a fleet that is all it costs.
    is_taken: AtomicBool,
    side: RwLock<Option<Arc<Side>>>,
}

impl Slot {
    /// The fleet.
    pub fn get(&self) -> Option<Arc<Side>> {
        if !self.is_taken.load(Ordering::Relaxed) {
            return None;
        }
        self.side.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Enters the fleet. It stays after it was closed, when it knows of no place for any key: what
    /// was served in a fleet is not served beside one.
    pub fn set(&self, side: Arc<Side>) {
        *self.side.write().unwrap_or_else(PoisonError::into_inner) = Some(side);
        self.is_taken.store(true, Ordering::Relaxed);
    }
}
