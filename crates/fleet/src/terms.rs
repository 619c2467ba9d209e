//! How long things hold. Every time here is counted on a host's own clock, which goes on while the
//! machine is suspended.

/// How much faster or slower than true time any clock may run, in percent: two differ by no more
/// than twice that.
pub const CLOCK_RATE_PERCENT: u64 = 5;

/// The times that follow from the length of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A host rewrites its beat so often.
    pub beat_every_ms: u64,
    /// A beat that was carried out lets its host serve for so long from the moment it was sent.
    pub serve_for_ms: u64,
    /// A host has so long to end its tenants, from the moment it may not serve any more until
    /// others may start them.
    pub fence_ms: u64,
    /// An observer looks at beats so often.
    pub observe_every_ms: u64,
    /// A beat that does not change for so long, from the moment an observer has first got it, is
    /// the last one.
    pub gone_after_ms: u64,
}

impl Terms {
    /// The terms of a lease. `None` below a second, which leaves no time for a store that elects.
    pub fn of(lease_ms: u64) -> Option<Terms> {
        if lease_ms < 1_000 {
            return None;
        }
        let serve_for_ms = lease_ms - lease_ms / 10;
        let fence_ms = lease_ms / 10;
        let (slow, fast) = (100 - CLOCK_RATE_PERCENT, 100 + CLOCK_RATE_PERCENT);
        // The slowest clock serves for so long in true time; the fastest counts so much meanwhile.
        let true_ms = (serve_for_ms * 100).div_ceil(slow) + fence_ms;
        Some(Terms {
            beat_every_ms: lease_ms / 3,
            serve_for_ms,
            fence_ms,
            observe_every_ms: lease_ms / 4,
            gone_after_ms: (true_ms * fast).div_ceil(100) + 1,
        })
    }
}
