//! A key has passed to another host, which is not seen everywhere yet. Whoever was sent to where it
//! was finds where it is all the same.

use crate::support::{Bed, why};
use fleet::{CallId, Input, Local, Owner, Want, Where, Why};

/// h0 passes its only key on, to whoever is to have it, and the watch of `behind` does not tell.
fn passed(hosts: usize, behind: usize) -> (Bed, usize, u64) {
    let mut bed = Bed::new(1);
    bed.claim("k");
    bed.tell(0, Input::Tenant { key: "k".into(), is: Local::Busy });
    for n in 1..hosts {
        bed.join(&format!("h{n}"), crate::support::LEASE_MS);
    }
    bed.pass(100);
    bed.hosts[behind].told = None;
    bed.tell(0, Input::Drain { call: CallId(77) });
    bed.pass(2_000);
    let Where::There { host, epoch: Some(epoch), .. } = bed.want(0, "k") else { panic!("passed") };
    let owner = bed.index(&host);
    (bed, owner, epoch)
}

fn host_of(place: Where) -> String {
    match place {
        Where::There { host, .. } => host.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_new_owner_serves_who_was_sent_back_to_it() {
    let (mut bed, owner, epoch) = passed(2, 1);
    assert_eq!(owner, 1);
    assert_eq!(host_of(bed.want(1, "k")), "h0", "as it has not been told yet");
    let told = Owner { host: "h1".into(), address: "http://h1".into(), epoch };
    let want = Want { told: Some(told), ..Want::default() };
    assert_eq!(bed.want_how(1, "k", want), Where::Here { epoch });
}

#[test]
fn the_new_owner_serves_who_has_found_the_old_one_gone() {
    let (mut bed, _, epoch) = passed(2, 1);
    let mut want = Want::default();
    want.doubt("h0".into());
    assert_eq!(bed.want_how(1, "k", want), Where::Here { epoch });
}

#[test]
fn any_host_asks_the_store_when_the_owner_cannot_be_reached() {
    let behind = 2;
    let (mut bed, owner, epoch) = passed(3, behind);
    assert_eq!(owner, 1, "choose another key");
    bed.tell(0, Input::Close { call: CallId(78) });
    assert_eq!(host_of(bed.want(behind, "k")), "h0", "as it has not been told yet");
    let mut want = Want::default();
    want.doubt("h0".into());
    let (host, address) = ("h1".into(), "http://h1".into());
    let there = Where::There { host, address, epoch: Some(epoch) };
    assert_eq!(bed.want_how(behind, "k", want), there);
    assert_eq!(bed.want(behind, "k"), there, "it has learned");
}

#[test]
fn an_owner_that_has_the_key_and_cannot_be_reached_is_waited_for() {
    let mut bed = Bed::new(2);
    let owner = bed.claim("k");
    let mut want = Want::default();
    want.doubt(format!("h{owner}").into());
    assert_eq!(why(bed.want_how(1 - owner, "k", want.clone())), Some(Why::OwnerUnreachable));
    bed.is_store_gone = true;
    assert_eq!(why(bed.want_how(1 - owner, "k", want)), Some(Why::OwnerUnreachable));
}

#[test]
fn a_host_claims_what_its_owner_has_given_up_and_sends_to_it() {
    let mut bed = Bed::new(1);
    bed.claim("k");
    bed.join("h1", crate::support::LEASE_MS);
    bed.pass(100);
    bed.hosts[1].told = None;
    // Without a process it is given up, and is to be had by whoever is asked for it next.
    bed.tell(0, Input::Drain { call: CallId(77) });
    assert_eq!(host_of(bed.want(0, "k")), "h1");
    assert_eq!(host_of(bed.want(1, "k")), "h0", "as it has not been told yet");
    let want = Want { hops: 1, ..Want::default() };
    assert!(matches!(bed.want_how(1, "k", want), Where::Here { .. }));
}
