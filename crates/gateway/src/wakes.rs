//! A waker for tests, which counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::Wake;

/// How often its task was woken.
#[derive(Default)]
pub(crate) struct Wakes(AtomicU32);

impl Wakes {
    pub fn count(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}
