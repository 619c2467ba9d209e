//! Records of another version are somebody's, and nobody fails by them.

use crate::support::{Bed, text, why};
use fleet::{Transaction, Where, Why, Write};

fn put(bed: &mut Bed, key: &str, value: &str) {
    let put = Write::Put { key: key.into(), value: value.into() };
    bed.store.commit(&Transaction { then: vec![put], ..Transaction::default() });
    bed.pass(0);
    bed.list(0);
}

#[test]
fn a_claim_of_another_version_is_nobodys_to_take() {
    let mut bed = Bed::new(1);
    for odd in [r#"{"v":2,"host":"h9","session":1}"#, "not JSON", ""] {
        put(&mut bed, "claims/k", odd);
        assert_eq!(why(bed.want(0, "k")), Some(Why::NewerVersion), "{odd}");
        assert_eq!(text(&bed.store, "claims/k").as_deref(), Some(odd));
    }
}

#[test]
fn a_host_of_another_version_gets_nothing_and_keeps_what_it_has() {
    let mut bed = Bed::new(1);
    put(&mut bed, "hosts/h9", r#"{"v":2,"where":"x"}"#);
    let session = bed.store.at.revision;
    let claim = format!(r#"{{"v":1,"host":"h9","session":{session}}}"#);
    put(&mut bed, "claims/theirs", &claim);
    assert_eq!(why(bed.want(0, "theirs")), Some(Why::NewerVersion));
    for n in 0..20 {
        assert!(matches!(bed.want(0, &format!("k{n}")), Where::Here { .. }));
    }
    assert_eq!(bed.hosts[0].fleet.hosts().len(), 1);
}

#[test]
fn an_era_of_another_version_lets_nobody_claim() {
    let mut bed = Bed::new(1);
    put(&mut bed, "era", r#"{"v":2}"#);
    bed.pass(60_000);
    assert_eq!(text(&bed.store, "era").as_deref(), Some(r#"{"v":2}"#));
}
