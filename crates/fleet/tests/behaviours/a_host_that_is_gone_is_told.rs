//! A host that is gone is told of for as long as keys of its are left, which nobody has taken yet.

use crate::support::{Bed, LEASE_MS, key};
use fleet::{CallId, ClaimView, HostIs, Input, Want, Where};

/// The hosts as `h0` sees them: by their ids, how it is with them, and how many keys they have.
fn hosts(bed: &Bed) -> Vec<(String, HostIs, usize)> {
    let views = bed.hosts[0].fleet.hosts().into_iter();
    views.map(|host| (host.id.to_string(), host.is, host.tenants)).collect()
}

fn entry(id: &str, is: HostIs, tenants: usize) -> (String, HostIs, usize) {
    (id.to_string(), is, tenants)
}

/// A host `h1` that is gone without a word, and its keys; `h0` has none.
fn gone() -> (Bed, Vec<String>) {
    let mut bed = Bed::new(2);
    let mut keys = Vec::new();
    for n in 0.. {
        let name = format!("k{n}");
        // Only those whose place is there are claimed.
        if let Where::There { .. } = bed.want(0, &name) {
            assert_eq!(bed.claim(&name), 1);
            keys.push(name);
        }
        if keys.len() == 2 {
            break;
        }
    }
    let mine = bed.hosts[0].fleet.hosts()[0].tenants;
    assert_eq!(hosts(&bed), [entry("h0", HostIs::Live, mine), entry("h1", HostIs::Live, 2)]);
    bed.hosts[1].is_gone = true;
    bed.pass(2 * LEASE_MS);
    (bed, keys)
}

#[test]
fn until_none_is_left() {
    let (mut bed, keys) = gone();
    for (taken, name) in keys.iter().enumerate() {
        let view = bed.hosts[0].fleet.hosts().remove(1);
        assert_eq!((&*view.id, view.is, view.tenants), ("h1", HostIs::Gone, 2 - taken));
        assert_eq!((&*view.address, view.weight, view.zone), ("", 0.0, None));
        let before = bed.hosts[0].fleet.claims(&[key(name)]).remove(0);
        assert_eq!((&*before.host, before.is_void), ("h1", true));
        let Where::Here { epoch } = bed.want(0, name) else { panic!("it is nobody's") };
        let after = ClaimView { key: key(name), host: "h0".into(), epoch, is_void: false };
        assert_eq!(bed.hosts[0].fleet.claims(&[key(name)]), [after]);
    }
    let ids: Vec<_> = hosts(&bed).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["h0"]);
}

#[test]
fn unless_it_is_there_again() {
    let (mut bed, keys) = gone();
    bed.join("h1", LEASE_MS);
    bed.pass(100);
    assert_eq!(hosts(&bed)[1], entry("h1", HostIs::Live, 0));
    // What it had before is not its any more.
    let claims = bed.hosts[0].fleet.claims(&keys.iter().map(|name| key(name)).collect::<Vec<_>>());
    assert!(claims.iter().all(|claim| claim.is_void && *claim.host == *"h1"), "{claims:?}");
}

#[test]
fn without_a_key_named_all_claims_are_told() {
    let mut bed = Bed::new(1);
    bed.claim("b");
    bed.claim("a");
    let keys = |claims: Vec<ClaimView>| -> Vec<String> {
        claims.into_iter().map(|claim| claim.key.to_string()).collect()
    };
    assert_eq!(keys(bed.hosts[0].fleet.claims(&[])), ["a", "b"]);
    assert_eq!(keys(bed.hosts[0].fleet.claims(&[key("b"), key("c")])), ["b"]);
}

#[test]
fn one_that_has_joined_later_than_the_picture_was_taken_is_not_gone() {
    let mut bed = Bed::new(1);
    // Its watch tells it nothing more: of the claim it hears when it asks for the key itself.
    bed.hosts[0].told = None;
    bed.join("h1", LEASE_MS);
    bed.pass(100);
    let want = Want { hops: 1, ..Want::default() };
    assert!(matches!(bed.want_how(1, "k", want), Where::Here { .. }));
    bed.tell(0, Input::Want { call: CallId(9), key: key("k"), want: Want::default() });
    let claim = bed.hosts[0].fleet.claims(&[]).remove(0);
    assert_eq!((&*claim.host, claim.is_void), ("h1", false));
    assert_eq!(hosts(&bed), [entry("h0", HostIs::Live, 0)]);
}
