//! The one place that reads clocks.
#![allow(clippy::disallowed_methods, reason = "this is the module that the ban points to")]

use pool::Now;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Both clocks at this moment.
pub fn now() -> Now {
    Now { steady_ms: origin().elapsed().as_millis() as u64, wall_ms: wall_ms() }
}

/// Milliseconds since the epoch.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The moment at which the steady clock begins to show `steady_ms`.
pub fn instant_of(steady_ms: u64) -> tokio::time::Instant {
    tokio::time::Instant::from_std(origin() + Duration::from_millis(steady_ms))
}

/// A stopwatch that starts now.
pub fn start() -> Instant {
    Instant::now()
}

/// Milliseconds since the machine was started: the clock that the starts of processes are counted on.
pub fn since_boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}
