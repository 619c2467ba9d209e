//! A host is gone when its beat has stopped, and not before; until then its id is its own.

use crate::support::{Bed, LEASE_MS};
use fleet::{Event, Terms, Where};

#[test]
fn the_keys_of_a_killed_host_are_served_elsewhere_within_the_promised_time() {
    for phase_ms in [0, 400, 800, 1_200, 1_600] {
        let mut bed = Bed::new(3);
        let owner = bed.claim("k");
        bed.pass(phase_ms);
        bed.hosts[owner].is_gone = true;
        let (killed, other) = (bed.now, (owner + 1) % 3);
        while !bed.events(other).iter().any(|event| matches!(event, Event::HostGone { .. })) {
            bed.pass(10);
            assert!(bed.now - killed < 8_000, "lease {LEASE_MS}, phase {phase_ms}");
        }
        let gone_after_ms = bed.now - killed;
        assert!(gone_after_ms > Terms::of(LEASE_MS).expect("terms").serve_for_ms - 1_700);
        assert!(gone_after_ms < 6_500, "{gone_after_ms} ms, phase {phase_ms}");
        let place = bed.want(other, "k");
        assert!(
            matches!(place, Where::Here { .. } | Where::There { epoch: None, .. }),
            "{place:?}"
        );
    }
}

#[test]
fn a_second_process_of_an_id_waits_until_the_first_is_gone() {
    let mut bed = Bed::new(2);
    let twin = bed.join("h0", LEASE_MS);
    bed.pass(30_000);
    assert!(bed.events(twin).iter().all(|event| !matches!(event, Event::Claim { .. })));
    assert!(bed.events(twin).iter().any(|event| matches!(event, Event::IdTaken { .. })));
    assert!(crate::support::why(bed.want(twin, "k")).is_some() || bed.claim("k") != twin);
    bed.hosts[0].is_gone = true;
    bed.pass(10_000);
    assert!(matches!(
        bed.want_how(twin, "new", fleet::Want { hops: 1, ..Default::default() }),
        Where::Here { .. }
    ));
}
