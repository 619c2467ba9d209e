//! While the store does not answer, what runs is served for as long as the lease allows, and new
//! keys are refused at once.

use crate::support::{Bed, why};
use fleet::{Action, Where, Why};

#[test]
fn half_a_minute_with_a_lease_of_a_minute() {
    let mut bed = Bed::with_lease(2, 60_000);
    let owner = bed.claim("k");
    bed.pass(1_000);
    bed.is_store_gone = true;
    bed.pass(30_000);
    assert!(matches!(bed.want(owner, "k"), Where::Here { .. }));
    assert!(matches!(bed.want(1 - owner, "k"), Where::There { epoch: Some(_), .. }));
    let new = (0..).map(|n| format!("new-{n}"));
    let mut refused = 0;
    for key in new.take(20) {
        match bed.want(owner, &key) {
            Where::There { epoch: None, .. } => {}
            place => {
                assert_eq!(why(place), Some(Why::StoreUnreachable));
                refused += 1;
            }
        }
    }
    assert!(refused > 3);
    bed.is_store_gone = false;
    bed.pass(10_000);
    assert!(!bed.take(owner).contains(&Action::Fence));
    assert!(matches!(bed.want(owner, "k"), Where::Here { .. }));
}

#[test]
fn when_the_lease_is_over_nothing_is_served() {
    let mut bed = Bed::new(1);
    bed.claim("k");
    bed.is_store_gone = true;
    bed.pass(4_500);
    assert!(bed.take(0).contains(&Action::Fence));
    assert!(why(bed.want(0, "k")).is_some());
    bed.is_store_gone = false;
    bed.pass(3_000);
    assert!(matches!(bed.want(0, "k"), Where::Here { .. }));
}
