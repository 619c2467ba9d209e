//! A claim that disappears, as when somebody deletes it, ends its tenant at once.

use crate::support::{Bed, key};
use fleet::{Action, Event, Transaction, Write};

#[test]
fn a_deleted_claim_is_lost() {
    let mut bed = Bed::new(1);
    bed.claim("k");
    bed.take(0);
    let delete = Write::Delete { key: "claims/k".into() };
    bed.store.commit(&Transaction { then: vec![delete], ..Transaction::default() });
    bed.pass(2_000);
    let actions = bed.take(0);
    assert!(actions.contains(&Action::Withdraw { key: key("k"), at_once: true }), "{actions:?}");
    let is_lost = |action: &Action| matches!(action, Action::Emit(Event::Lost { .. }));
    assert_eq!(actions.iter().filter(|action| is_lost(action)).count(), 1);
    // It is claimed anew when it is wanted.
    assert_eq!(bed.claim("k"), 0);
}

#[test]
fn a_claim_that_is_missing_in_a_listing_is_lost() {
    let mut bed = Bed::new(1);
    bed.claim("k");
    bed.take(0);
    let records = bed.store.list().into_iter().filter(|record| record.key != "claims/k").collect();
    let at = bed.store.at;
    bed.tell(0, fleet::Input::Listed { at, records });
    assert!(bed.take(0).contains(&Action::Withdraw { key: key("k"), at_once: true }));
}

#[test]
fn a_listing_from_before_the_claim_takes_nothing() {
    let mut bed = Bed::new(1);
    let (at, records) = (bed.store.at, bed.store.list());
    // The stream is behind: nothing of the claim is told.
    bed.hosts[0].told = None;
    bed.claim("k");
    bed.take(0);
    bed.tell(0, fleet::Input::Listed { at, records });
    let ends = |action: &Action| matches!(action, Action::Withdraw { .. } | Action::Fence);
    assert!(!bed.take(0).iter().any(ends));
    assert_eq!(bed.claim("k"), 0);
}
