//! The one place that reads the clock.
#![allow(clippy::disallowed_methods, reason = "this is the module that the ban points to")]

use rustix::time::{ClockId, clock_gettime};

/// The time on a clock that only runs forward.
pub fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000 + now.tv_nsec.cast_unsigned() / 1_000_000
}

/// The time of day, in milliseconds of Unix time.
pub fn unix_ms() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.cast_unsigned() * 1_000 + now.tv_nsec.cast_unsigned() / 1_000_000
}
