//! A host that leaves takes its claims with it in portions that a store takes, and its record last.

use crate::support::{Bed, key, text, why};
use fleet::{Action, CallId, Event, Input, Local, Want, Where, Why};

#[test]
fn nothing_of_it_is_left() {
    let mut bed = Bed::new(1);
    for n in 0..250 {
        bed.claim(&format!("k{n}"));
    }
    bed.take(0);
    bed.tell(0, Input::Close { call: CallId(9) });
    let actions = bed.take(0);
    let stop = actions.iter().position(|action| *action == Action::StopAll).expect("it ends");
    let done = actions.iter().position(|action| *action == Action::Done { call: CallId(9) });
    assert!(stop < done.expect("it is done"));
    let writes = actions[stop..].iter().filter_map(|action| match action {
        Action::Commit { transaction, .. } => Some(transaction.then.len()),
        _ => None,
    });
    assert_eq!(writes.collect::<Vec<_>>(), [100, 100, 50, 2]);
    let keys: Vec<String> = bed.store.list().into_iter().map(|record| record.key).collect();
    assert_eq!(keys, ["era"]);
    assert_eq!(text(&bed.store, "beats/h0"), None);
    assert_eq!(crate::support::why(bed.want(0, "k1")), Some(Why::Closing));
}

#[test]
fn others_have_its_keys_at_once() {
    let mut bed = Bed::new(2);
    let owner = bed.claim("k");
    let other = 1 - owner;
    bed.take(other);
    bed.tell(owner, Input::Close { call: CallId(9) });
    assert!(matches!(bed.want(other, "k"), Where::Here { .. }));
    let gone = Event::HostGone { host: format!("h{owner}").into() };
    assert!(bed.events(other).contains(&&gone));
}

#[test]
fn what_it_has_passed_on_is_asked_for_at_its_new_host() {
    let mut bed = Bed::new(2);
    let owner = bed.claim("k");
    let other = 1 - owner;
    bed.tell(owner, Input::Tenant { key: key("k"), is: Local::Busy });
    bed.tell(owner, Input::Drain { call: CallId(8) });
    bed.tell(owner, Input::Close { call: CallId(9) });
    // By a host that has not heard of it yet.
    let want = Want { hops: 1, ..Want::default() };
    let Where::There { host, epoch: Some(_), .. } = bed.want_how(owner, "k", want) else {
        panic!("it is known where it is");
    };
    assert_eq!(*host, *format!("h{other}"));
    assert_eq!(why(bed.want(owner, "another")), Some(Why::Closing));
}

#[test]
fn a_store_that_does_not_answer_is_not_waited_for() {
    let mut bed = Bed::new(1);
    bed.claim("k");
    bed.is_store_gone = true;
    bed.tell(0, Input::Close { call: CallId(9) });
    bed.pass(10_000);
    assert!(bed.take(0).contains(&Action::Done { call: CallId(9) }));
    assert_eq!(bed.hosts[0].fleet.next_deadline(), None);
}
