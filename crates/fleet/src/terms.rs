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

#[cfg(test)]
mod tests {
    use super::*;

    /// In true time, whatever the clocks of a host and its observer say: from the moment a beat is
    /// sent, the host serves and then has its time to end everything, before it counts as gone.
    #[test]
    fn who_counts_as_gone_has_ended_everything() {
        for lease_ms in (1_000..30_000).step_by(97).chain([60_000, 3_600_000]) {
            let terms = Terms::of(lease_ms).expect("long enough");
            for own_rate in 95..=105 {
                for observers_rate in 95..=105 {
                    let served_ms = terms.serve_for_ms as f64 * 100.0 / f64::from(own_rate);
                    let gone_ms = terms.gone_after_ms as f64 * 100.0 / f64::from(observers_rate);
                    let rates = (own_rate, observers_rate);
                    assert!(served_ms + terms.fence_ms as f64 <= gone_ms, "{lease_ms} {rates:?}");
                }
            }
        }
    }

    #[test]
    fn a_beat_may_fail_twice_before_its_host_is_fenced() {
        for lease_ms in [1_000, 5_000, 60_000] {
            let terms = Terms::of(lease_ms).expect("long enough");
            assert!(terms.beat_every_ms * 2 < terms.serve_for_ms);
        }
        assert_eq!(Terms::of(999), None);
    }

    /// The goal: with a lease of 5 s a key of a host that is killed is served elsewhere within 8 s,
    /// and mostly within 6.5 s. The last beat is from up to `beat_every_ms` before.
    #[test]
    fn the_loss_of_a_host_is_seen_in_time() {
        let terms = Terms::of(5_000).expect("long enough");
        assert_eq!(terms.gone_after_ms, 5_500);
        assert!(terms.gone_after_ms + terms.observe_every_ms < 7_000);
    }
}
