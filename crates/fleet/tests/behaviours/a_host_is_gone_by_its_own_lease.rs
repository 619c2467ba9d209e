//! Hosts of a fleet that is given another lease have the old and the new one for a while.

use crate::support::Bed;
use fleet::{Event, Where};

const LONG_MS: u64 = 40_000;

#[test]
fn one_with_a_longer_lease_is_observed_for_longer() {
    let mut bed = Bed::new(2);
    let long = bed.join("h2", LONG_MS);
    let gone = |bed: &Bed| {
        let is_gone = Event::HostGone { host: "h2".into() };
        bed.events(0).contains(&&is_gone)
    };
    // Between two of its beats others have a lease that is over.
    bed.pass(2 * LONG_MS);
    assert!(!gone(&bed));
    assert!(matches!(
        bed.want_how(long, "k", fleet::Want { hops: 1, ..Default::default() }),
        Where::Here { .. }
    ));
    bed.hosts[long].is_gone = true;
    bed.pass(LONG_MS / 2);
    assert!(!gone(&bed));
    assert!(matches!(bed.want(0, "k"), Where::There { .. }), "it may still serve");
    bed.pass(LONG_MS);
    assert!(gone(&bed));
}
