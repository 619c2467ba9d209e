//! Whoever is asked first, a key has one place, and all hosts know it.

use crate::support::Bed;
use fleet::{Action, CallId, Event, Input, Owner, Want, Where};

#[test]
fn all_hosts_say_the_same() {
    let mut bed = Bed::new(4);
    for n in 0..40 {
        let key = format!("key-{n}");
        let owner = bed.claim(&key);
        let Where::Here { epoch } = bed.want(owner, &key) else { panic!("it is there") };
        for other in (0..4).filter(|other| *other != owner) {
            let there = bed.want(other, &key);
            let (host, address) = (format!("h{owner}").into(), format!("http://h{owner}").into());
            assert_eq!(there, Where::There { host, address, epoch: Some(epoch) });
        }
    }
    let tenants: Vec<usize> = bed.hosts[0].fleet.hosts().iter().map(|host| host.tenants).collect();
    assert_eq!(tenants.iter().sum::<usize>(), 40);
    assert!(tenants.iter().all(|tenants| (1..=13).contains(tenants)), "{tenants:?}");
}

#[test]
fn calls_for_one_key_share_one_claim() {
    let mut bed = Bed::new(1);
    let mut actions = Vec::new();
    for n in 0..10 {
        let input = Input::Want { call: CallId(n), key: "k".into(), want: Want::default() };
        actions.extend(bed.hosts[0].fleet.handle(bed.now, input));
    }
    let commits = actions.iter().filter(|action| matches!(action, Action::Commit { .. }));
    assert_eq!((commits.count(), actions.len()), (1, 1));
}

#[test]
fn what_was_passed_on_is_served_whatever_placement_says() {
    let mut bed = Bed::new(3);
    let chosen = match bed.want(0, "k") {
        Where::Here { .. } => panic!("choose a key that goes elsewhere"),
        place => place,
    };
    let Where::There { host, epoch: None, .. } = chosen else { panic!("{chosen:?}") };
    let other = (1..3).find(|n| *n != bed.index(&host)).expect("a third host");
    let want = Want { hops: 1, ..Want::default() };
    assert!(matches!(bed.want_how(other, "k", want), Where::Here { .. }));
    let claim = |event: &&&Event| matches!(event, Event::Claim { .. });
    assert_eq!(bed.events(other).iter().filter(claim).count(), 1);
}

#[test]
fn a_correction_is_followed_if_it_is_later() {
    let mut bed = Bed::new(3);
    let owner = bed.claim("k");
    let Where::Here { epoch } = bed.want(owner, "k") else { panic!("it is there") };
    let asked = (owner + 1) % 3;
    let third: std::sync::Arc<str> = format!("h{}", (owner + 2) % 3).into();
    let told = |epoch| {
        let owner = Owner { host: third.clone(), address: "http://x".into(), epoch };
        Want { told: Some(owner), ..Want::default() }
    };
    let host_of = |place| match place {
        Where::There { host, .. } => host,
        other => panic!("{other:?}"),
    };
    assert_eq!(host_of(bed.want_how(asked, "k", told(epoch + 1))), third);
    assert_eq!(*host_of(bed.want_how(asked, "k", told(epoch - 1))), *format!("h{owner}"));
}
