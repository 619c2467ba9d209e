//! The one place that reads clocks: this crate knows no other of the project, and so not theirs.
#![allow(clippy::disallowed_methods, reason = "this is the module that reads clocks here")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, for durations.
pub fn now() -> Instant {
    Instant::now()
}

/// Now, in milliseconds since 1970.
pub fn epoch_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_millis() as u64
}
