//! A host that drains, or has more than its share, sheds what is not in use first.

use crate::support::{Bed, LEASE_MS, key};
use fleet::{Action, CallId, Event, Input, Local, Where};

fn use_key(bed: &mut Bed, host: usize, name: &str, is: Local) {
    bed.claim(name);
    bed.tell(host, Input::Tenant { key: key(name), is });
}

/// Keys in the order in which they left.
fn left(actions: &[Action]) -> Vec<&str> {
    let withdrawn = actions.iter().filter_map(|action| match action {
        Action::Withdraw { key, .. } => Some(&**key),
        _ => None,
    });
    withdrawn.collect()
}

#[test]
fn one_at_a_time_while_it_has_more_than_its_share() {
    let mut bed = Bed::new(1);
    for n in 0..8 {
        let is = [Local::Busy, Local::Idle, Local::Cold, Local::Busy][n % 4];
        use_key(&mut bed, 0, &format!("k{n}"), is);
    }
    bed.take(0);
    let other = bed.join("h1", LEASE_MS);
    let joined = bed.now;
    let mut times = Vec::new();
    while bed.now < joined + 10_000 {
        bed.pass(100);
        times.extend(left(&bed.take(0)).into_iter().map(|key| (bed.now - joined, key.to_string())));
    }
    let keys: Vec<&str> = times.iter().map(|(_, key)| key.as_str()).collect();
    assert_eq!(keys, ["k2", "k6", "k1"], "the cold ones, and one that is idle: 5 are its share");
    assert!(times[1].0 - times[0].0 >= 1_000, "{times:?}");
    assert_eq!(bed.hosts[0].fleet.hosts()[0].tenants, 5);
    assert_eq!(bed.hosts[other].fleet.hosts()[1].tenants, 1);
}

#[test]
fn a_drained_host_passes_on_what_runs_and_gives_up_what_does_not() {
    let mut bed = Bed::new(1);
    for (name, is) in [("a", Local::Busy), ("b", Local::Cold), ("c", Local::Idle)] {
        use_key(&mut bed, 0, name, is);
    }
    let other = bed.join("h1", LEASE_MS);
    bed.pass(100);
    bed.take(0);
    bed.tell(0, Input::Drain { call: CallId(77) });
    bed.pass(2_000);
    let actions = bed.take(0);
    assert!(actions.contains(&Action::Done { call: CallId(77) }), "{actions:?}");
    let moved = |action: &Action| match action {
        Action::Emit(Event::Moved { key, to, .. }) => Some((key.to_string(), to.to_string())),
        _ => None,
    };
    let moved: Vec<_> = actions.iter().filter_map(moved).collect();
    assert_eq!(moved, [("c".into(), "h1".into()), ("a".into(), "h1".into())]);
    // The new owner admits what it has prepared, by the same epoch, and nothing else.
    let theirs = bed.take(other);
    for name in ["a", "c"] {
        let epoch = theirs.iter().find_map(|action| match action {
            Action::Prepare { key, epoch } if **key == *name => Some(*epoch),
            _ => None,
        });
        let epoch = epoch.expect("it is prepared");
        assert!(theirs.contains(&Action::Admit { key: key(name), epoch }));
        assert_eq!(bed.want(other, name), Where::Here { epoch });
    }
    // Who comes to the drained host is sent on, and nothing is placed there.
    for n in 0..20 {
        assert!(matches!(bed.want(0, &format!("new-{n}")), Where::There { .. }));
    }
}

#[test]
fn without_another_host_it_keeps_what_runs() {
    let mut bed = Bed::new(1);
    use_key(&mut bed, 0, "k", Local::Busy);
    bed.tell(0, Input::Drain { call: CallId(77) });
    bed.pass(20_000);
    assert!(!bed.take(0).contains(&Action::Done { call: CallId(77) }));
    assert!(matches!(bed.want(0, "k"), Where::Here { .. }));
    bed.join("h1", LEASE_MS);
    bed.pass(2_000);
    assert!(bed.take(0).contains(&Action::Done { call: CallId(77) }));
}
