//! The contract: what is so with every store.

use crate::bed::{
    Bed, batch, change, created, created_is_not, delete, delete_prefix, does, events, if_all, keys,
    modified, put, record, soon, standing, told, value,
};
use std::collections::HashSet;
use std::time::Duration;
use store::{Change, Event, MAX_OPERATIONS, Outcome, Range, Store, StoreError, Transaction, Watch};

/// Makes a test of each case: `contract!(for each case: attribute, bed)`.
macro_rules! contract {
    ($($(#[$alone:ident])? $name:ident)*) => {
        /// Runs the cases, each with a bed of its own. Those that change what the store keeps get
        /// one that they share with nobody.
        macro_rules! run_contract {
            ($bed:expr, $bed_alone:expr) => {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() {
                        let bed = $crate::cases::choose!($bed, $bed_alone $(, $alone)?);
                        if let Some(bed) = bed {
                            $crate::cases::$name(bed).await;
                        }
                    }
                )*
            };
        }
        pub(crate) use run_contract;
    };
}

macro_rules! choose {
    ($bed:expr, $bed_alone:expr) => {
        $bed
    };
    ($bed:expr, $bed_alone:expr, alone) => {
        $bed_alone
    };
}
pub(crate) use choose;

contract! {
    of_many_who_claim_at_once_one_wins
    absent_is_what_has_never_been_or_was_deleted
    the_revision_of_creation_is_that_of_a_life_of_the_key
    a_condition_may_be_that_a_life_of_a_key_is_over
    the_revision_of_modification_is_that_of_the_last_put
    all_conditions_have_to_be_met
    a_refused_transaction_reads_in_order_and_changes_nothing
    what_a_transaction_changes_has_one_revision
    a_session_that_is_gone_writes_nothing
    what_changes_nothing_makes_no_revision
    a_prefix_is_deleted_and_nothing_beside_it
    reads_are_of_one_state_and_in_order
    a_read_sees_what_was_committed_on_another_way
    a_list_is_by_rising_key_and_of_its_range
    a_list_is_of_one_state_however_long_it_is
    records_below_other_prefixes_are_not_there
    keys_and_values_are_any_text_and_any_bytes
    a_large_value_is_taken_and_a_too_large_one_refused
    too_many_operations_are_refused
    a_key_is_not_changed_twice_at_once
    a_watch_tells_all_after_a_revision_in_order
    a_watch_tells_of_its_range_alone
    a_watch_tells_a_transaction_at_once
    two_watches_are_told_the_same
    a_watch_loses_nothing_to_those_who_stop_waiting
    a_request_that_is_dropped_leaves_the_store_usable
    a_follower_tells_what_there_is_and_what_becomes_of_it
    followers_share_a_pulse_and_do_not_tell_it
    #[alone] what_was_compacted_is_too_old
}

pub use crate::followers::{
    a_follower_tells_what_there_is_and_what_becomes_of_it,
    followers_share_a_pulse_and_do_not_tell_it,
};

pub async fn of_many_who_claim_at_once_one_wins(bed: impl Bed) {
    const HOSTS: usize = 20;
    let claims = (0..HOSTS).map(|host| {
        let store = bed.way();
        tokio::spawn(async move {
            does(&store, [created("claims/a", 0)], vec![put("claims/a", &host.to_string())]).await
        })
    });
    let claims: Vec<_> = claims.collect();
    let mut winners = Vec::new();
    for (host, claim) in claims.into_iter().enumerate() {
        if soon(claim).await.expect("no panic") {
            winners.push(host.to_string());
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(value(&bed.way(), "claims/a").await.as_ref(), winners.first());
}

pub async fn absent_is_what_has_never_been_or_was_deleted(bed: impl Bed) {
    let store = bed.way();
    assert!(does(&store, [created("a", 0), modified("a", 0)], vec![put("a", "1")]).await);
    assert!(!does(&store, [created("a", 0)], vec![put("a", "2")]).await);
    assert!(!does(&store, [modified("a", 0)], vec![put("a", "2")]).await);
    change(&store, vec![delete("a")]).await;
    assert!(does(&store, [created("a", 0), modified("a", 0)], vec![put("a", "3")]).await);
    assert_eq!(value(&store, "a").await.as_deref(), Some("3"));
}

pub async fn the_revision_of_creation_is_that_of_a_life_of_the_key(bed: impl Bed) {
    let store = bed.way();
    let first = change(&store, vec![put("a", "1")]).await;
    change(&store, vec![put("a", "2")]).await;
    assert_eq!(record(&store, "a").await.expect("it was put").created, first);
    assert!(does(&store, [created("a", first)], vec![put("seen", "first")]).await);
    change(&store, vec![delete("a")]).await;
    let second = change(&store, vec![put("a", "3")]).await;
    assert_eq!(record(&store, "a").await.expect("it was put").created, second);
    assert!(!does(&store, [created("a", first)], vec![put("seen", "first again")]).await);
    assert!(does(&store, [created("a", second)], vec![put("seen", "second")]).await);
}

pub async fn a_condition_may_be_that_a_life_of_a_key_is_over(bed: impl Bed) {
    let store = bed.way();
    let life = change(&store, vec![put("hosts/a", "")]).await;
    let over = || [created_is_not("hosts/a", life)];
    assert!(!does(&store, over(), vec![put("claims/k", "b")]).await);
    change(&store, vec![put("hosts/a", "draining")]).await;
    assert!(!does(&store, over(), vec![put("claims/k", "b")]).await, "the same life");
    change(&store, vec![delete("hosts/a")]).await;
    assert!(does(&store, over(), vec![put("claims/k", "b")]).await, "there is none");
    change(&store, vec![put("hosts/a", "")]).await;
    assert!(does(&store, over(), vec![put("claims/k", "c")]).await, "there is another one");
    assert!(does(&store, [created_is_not("hosts/a", 0)], vec![]).await, "there is one");
    assert!(!does(&store, [created_is_not("hosts/b", 0)], vec![]).await, "there is none");
}

pub async fn the_revision_of_modification_is_that_of_the_last_put(bed: impl Bed) {
    let store = bed.way();
    let first = change(&store, vec![put("a", "same")]).await;
    let second = change(&store, vec![put("a", "same")]).await;
    assert!(second > first);
    let there = record(&store, "a").await.expect("it was put");
    assert_eq!((there.created, there.modified), (first, second));
    assert!(!does(&store, [modified("a", first)], vec![put("a", "late")]).await);
    assert!(does(&store, [modified("a", second)], vec![put("a", "in time")]).await);
    assert_eq!(value(&store, "a").await.as_deref(), Some("in time"));
}

pub async fn all_conditions_have_to_be_met(bed: impl Bed) {
    let store = bed.way();
    let a = change(&store, vec![put("a", "")]).await;
    let b = change(&store, vec![put("b", "")]).await;
    assert!(!does(&store, [modified("a", a), modified("b", a)], vec![put("c", "")]).await);
    assert!(!does(&store, [modified("a", b), modified("b", b)], vec![put("c", "")]).await);
    assert_eq!(record(&store, "c").await, None);
    assert!(does(&store, [modified("a", a), modified("b", b)], vec![put("c", "")]).await);
}

pub async fn a_refused_transaction_reads_in_order_and_changes_nothing(bed: impl Bed) {
    let store = bed.way();
    change(&store, vec![put("a", "1"), put("b", "2")]).await;
    let before = standing(&store).await;
    let transaction = Transaction {
        if_all: vec![created("a", 0)],
        then: vec![put("a", "x"), delete("b"), put("c", "x")],
        else_read: ["b", "none", "a"].map(str::to_owned).to_vec(),
    };
    let Outcome::Refused { at, read } = store.commit(transaction).await.expect("an answer") else {
        panic!("it was carried out");
    };
    assert!(at.revision >= before.revision && at.cluster == before.cluster);
    let read: Vec<_> = read.iter().map(|read| read.as_ref().map(|it| it.key.as_str())).collect();
    assert_eq!(read, [Some("b"), None, Some("a")]);
    let (_, records) = store.list(Range::all()).await.expect("a list");
    assert_eq!(keys(&records), ["a", "b"]);
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
}

pub async fn what_a_transaction_changes_has_one_revision(bed: impl Bed) {
    let store = bed.way();
    change(&store, vec![put("old", "")]).await;
    let revision = change(&store, vec![put("a", "1"), put("b", "2"), delete("old")]).await;
    let (at, records) = store.list(Range::all()).await.expect("a list");
    assert_eq!(keys(&records), ["a", "b"]);
    assert!(records.iter().all(|it| it.modified == revision && it.created == revision));
    assert!(at.revision >= revision);
}

pub async fn a_session_that_is_gone_writes_nothing(bed: impl Bed) {
    let (host, observer) = (bed.way(), bed.way());
    let session = change(&host, vec![put("hosts/a", "")]).await;
    let beat = |n: &str| vec![put("beats/a", n)];
    assert!(does(&host, [created("hosts/a", session)], beat("1")).await);
    let seen = record(&observer, "beats/a").await.expect("it beats").modified;
    assert!(does(&host, [created("hosts/a", session)], beat("2")).await);
    let remove = || vec![delete("hosts/a"), delete("beats/a")];
    let gone = |seen| [modified("beats/a", seen), created("hosts/a", session)];
    assert!(!does(&observer, gone(seen), remove()).await, "it has beaten since");
    let seen = record(&observer, "beats/a").await.expect("it beats").modified;
    assert!(does(&observer, gone(seen), remove()).await);
    assert!(!does(&host, [created("hosts/a", session)], beat("3")).await);
    let again = change(&host, vec![put("hosts/a", "")]).await;
    assert!(!does(&host, [created("hosts/a", session)], beat("3")).await, "another session");
    assert!(does(&host, [created("hosts/a", again)], beat("1")).await);
}

pub async fn what_changes_nothing_makes_no_revision(bed: impl Bed) {
    let store = bed.way();
    let revision = change(&store, vec![put("a", "")]).await;
    // Others may use the store, too, but not these keys.
    change(&store, vec![]).await;
    change(&store, vec![delete("none")]).await;
    change(&store, vec![delete_prefix("none")]).await;
    assert!(does(&store, [modified("a", revision)], vec![]).await);
    let mut watch = store.watch(Range::all(), revision).await.expect("a watch");
    change(&store, vec![put("b", "")]).await;
    let told: Vec<_> = events(&mut watch, 1).await.iter().map(told).collect();
    assert_eq!(told, ["b="]);
}

pub async fn a_prefix_is_deleted_and_nothing_beside_it(bed: impl Bed) {
    let store = bed.way();
    let all = ["a", "a/", "a/b", "a/b/c", "a0", "ab", "b"];
    change(&store, all.map(|key| put(key, "")).to_vec()).await;
    change(&store, vec![delete("a")]).await;
    let (_, records) = store.list(Range::all()).await.expect("a list");
    assert_eq!(keys(&records), all[1..], "a key is no prefix");
    change(&store, vec![delete_prefix("a/b")]).await;
    let (_, records) = store.list(Range::all()).await.expect("a list");
    assert_eq!(keys(&records), ["a/", "a0", "ab", "b"]);
    change(&store, vec![delete_prefix("a/")]).await;
    let (_, records) = store.list(Range::all()).await.expect("a list");
    assert_eq!(keys(&records), ["a0", "ab", "b"]);
    change(&store, vec![delete_prefix("")]).await;
    assert_eq!(store.list(Range::all()).await.expect("a list").1, []);
}

pub async fn reads_are_of_one_state_and_in_order(bed: impl Bed) {
    let store = bed.way();
    let revision = change(&store, vec![put("a", "1"), put("b", "2")]).await;
    let asked = ["b", "none", "a", "b"].map(str::to_owned).to_vec();
    let (at, read) = store.read(asked).await.expect("an answer");
    assert!(at.revision >= revision);
    let read: Vec<_> = read.iter().map(|read| read.as_ref().map(|it| it.key.as_str())).collect();
    assert_eq!(read, [Some("b"), None, Some("a"), Some("b")]);
    // Two records that are only changed together are never read apart.
    let writer = bed.way();
    let writing = tokio::spawn(async move {
        for n in 0..50 {
            let n = n.to_string();
            change(&writer, vec![put("a", &n), put("b", &n)]).await;
        }
    });
    while !writing.is_finished() {
        let (_, read) = store.read(vec!["a".to_owned(), "b".to_owned()]).await.expect("an answer");
        let values: HashSet<_> =
            read.iter().map(|read| read.as_ref().map(|it| it.modified)).collect();
        assert_eq!(values.len(), 1, "{read:?}");
    }
    writing.await.expect("no panic");
}

pub async fn a_read_sees_what_was_committed_on_another_way(bed: impl Bed) {
    let (one, other) = (bed.way(), bed.way());
    for n in 0..30 {
        let revision = change(&one, vec![put("a", &n.to_string())]).await;
        assert_eq!(value(&other, "a").await, Some(n.to_string()));
        assert!(standing(&other).await.revision >= revision);
        let (_, listed) = other.list(Range::key("a")).await.expect("a list");
        assert_eq!(listed[0].modified, revision);
    }
}

pub async fn a_list_is_by_rising_key_and_of_its_range(bed: impl Bed) {
    let store = bed.way();
    for key in ["claims/b", "beats/a", "hosts/a", "moves/a", "claims/a", "claims", "claims0"] {
        change(&store, vec![put(key, "")]).await;
    }
    let list = async |range| {
        let (_, records) = store.list(range).await.expect("a list");
        records.into_iter().map(|record| record.key).collect::<Vec<_>>()
    };
    assert_eq!(list(Range::prefix("claims/")).await, ["claims/a", "claims/b"]);
    assert_eq!(list(Range::key("claims")).await, ["claims"]);
    let from = list(Range::from("claims/")).await;
    assert_eq!(from, ["claims/a", "claims/b", "claims0", "hosts/a", "moves/a"]);
    assert_eq!(list(Range::between("claims/b", "hosts/a")).await, ["claims/b", "claims0"]);
    assert_eq!(list(Range::all()).await.len(), 7);
    assert_eq!(list(Range::prefix("none")).await.len(), 0);
}

pub async fn a_list_is_of_one_state_however_long_it_is(bed: impl Bed) {
    const RECORDS: usize = 2_500;
    let store = bed.way();
    let all: Vec<String> = (0..RECORDS).map(|n| format!("claims/{n:05}")).collect();
    for some in all.chunks(MAX_OPERATIONS) {
        change(&store, some.iter().map(|key| put(key, "before")).collect()).await;
    }
    let (_, records) = store.list(Range::prefix("claims/")).await.expect("a list");
    assert_eq!(keys(&records), all);
    // What is changed between two pages is in none of them.
    let mut page = store.page(Range::prefix("claims/"), None).await.expect("a page");
    let of = page.at.revision;
    let mut found = keys(&page.records).len();
    assert!(found < RECORDS, "a page of all");
    change(&store, vec![put(&all[RECORDS - 1], "after"), delete(&all[RECORDS - 2])]).await;
    change(&store, vec![put("claims/99999", "after"), delete(&all[0])]).await;
    while let Some(rest) = page.rest {
        page = store.page(rest, Some(of)).await.expect("a page");
        found += page.records.len();
        assert!(page.records.iter().all(|record| record.value == b"before"));
    }
    assert_eq!(found, RECORDS);
    let (at, records) = store.list(Range::prefix("claims/")).await.expect("a list");
    assert!(at.revision > of);
    assert_eq!(records.len(), RECORDS - 1);
}

pub async fn records_below_other_prefixes_are_not_there(bed: impl Bed) {
    let (store, neighbour) = (bed.way(), bed.way_to_neighbour());
    let before = change(&store, vec![put("a", "ours")]).await;
    change(&neighbour, vec![put("a", "theirs"), put("b", "theirs")]).await;
    assert_eq!(value(&store, "a").await.as_deref(), Some("ours"));
    assert_eq!(record(&store, "b").await, None);
    let (_, records) = store.list(Range::from("")).await.expect("a list");
    assert_eq!(keys(&records), ["a"]);
    change(&store, vec![put("z", "ours"), delete_prefix("a")]).await;
    let mut watch = store.watch(Range::all(), before).await.expect("a watch");
    let told: HashSet<_> = events(&mut watch, 2).await.iter().map(told).collect();
    assert_eq!(told, HashSet::from(["-a".to_owned(), "z=ours".to_owned()]));
    assert_eq!(value(&neighbour, "a").await.as_deref(), Some("theirs"));
}

pub async fn keys_and_values_are_any_text_and_any_bytes(bed: impl Bed) {
    let store = bed.way();
    let odd = [
        "",
        " ",
        "\0",
        "\0\0",
        "\n",
        "\"",
        "\\",
        "/",
        "//",
        "%2F",
        "\u{7f}",
        "é",
        "e\u{301}",
        "日本語",
        "🦀",
        "\u{10ffff}",
        "a b",
        "{\"a\":1}",
    ];
    let all_bytes: Vec<u8> = (0..=255).collect();
    for (nth, odd) in odd.iter().enumerate() {
        let key = format!("claims/{odd}");
        let value = all_bytes[nth..].to_vec();
        change(&store, vec![Change::Put { key, value }]).await;
    }
    let (_, records) = store.list(Range::prefix("claims/")).await.expect("a list");
    let mut sorted: Vec<String> = odd.iter().map(|odd| format!("claims/{odd}")).collect();
    sorted.sort();
    assert_eq!(keys(&records), sorted);
    for (nth, odd) in odd.iter().enumerate() {
        let there = record(&store, &format!("claims/{odd}")).await.expect("it was put");
        assert_eq!(there.value, all_bytes[nth..]);
        assert!(!does(&store, [created(&there.key, 0)], vec![]).await);
        change(&store, vec![delete(&there.key)]).await;
        assert_eq!(record(&store, &there.key).await, None);
    }
    let left = store.list(Range::all()).await.expect("a list").1;
    assert_eq!(left, [], "each deletion was of one key");
    change(&store, vec![put("empty", "")]).await;
    assert_eq!(value(&store, "empty").await.as_deref(), Some(""));
}

pub async fn a_large_value_is_taken_and_a_too_large_one_refused(bed: impl Bed) {
    let store = bed.way();
    let value = vec![7; 1_000_000];
    let put = |value| vec![Change::Put { key: "large".to_owned(), value }];
    change(&store, put(value.clone())).await;
    assert_eq!(record(&store, "large").await.expect("it was put").value, value);
    let transaction = Transaction { then: put(vec![7; 3_000_000]), ..Transaction::default() };
    let refused = store.commit(transaction).await;
    assert!(matches!(refused, Err(StoreError::Denied(_))), "{refused:?}");
    assert_eq!(record(&store, "large").await.expect("as before").value, value);
}

pub async fn too_many_operations_are_refused(bed: impl Bed) {
    let store = bed.way();
    let puts = |count| (0..count).map(|n| put(&format!("a{n}"), "")).collect();
    change(&store, puts(MAX_OPERATIONS)).await;
    let transaction = Transaction { then: puts(MAX_OPERATIONS + 1), ..Transaction::default() };
    let refused = store.commit(transaction).await;
    assert!(matches!(refused, Err(StoreError::Denied(_))), "{refused:?}");
    let names = |count| (0..count).map(|n| format!("a{n}")).collect();
    let (_, read) = store.read(names(MAX_OPERATIONS)).await.expect("an answer");
    assert!(read.iter().all(Option::is_some));
    let refused = store.read(names(MAX_OPERATIONS + 1)).await;
    assert!(matches!(refused, Err(StoreError::Denied(_))), "{refused:?}");
}

pub async fn a_key_is_not_changed_twice_at_once(bed: impl Bed) {
    let store = bed.way();
    for then in [
        vec![put("a/b", "1"), put("a/b", "2")],
        vec![put("a/b", "1"), delete("a/b")],
        vec![delete_prefix("a/"), put("a/b", "1")],
    ] {
        let refused = store.commit(Transaction { then, ..Transaction::default() }).await;
        assert!(matches!(refused, Err(StoreError::Denied(_))), "{refused:?}");
    }
    assert_eq!(record(&store, "a/b").await, None);
}

pub async fn a_watch_tells_all_after_a_revision_in_order(bed: impl Bed) {
    let store = bed.way();
    change(&store, vec![put("a", "not told")]).await;
    let from = change(&store, vec![put("a", "not told either")]).await;
    let mut expected = Vec::new();
    for n in 0..20 {
        change(&store, vec![put("a", &n.to_string())]).await;
        expected.push(format!("a={n}"));
    }
    let mut watch = store.watch(Range::all(), from).await.expect("a watch");
    for n in 20..60 {
        change(&store, vec![put("a", &n.to_string()), delete("b")]).await;
        expected.push(format!("a={n}"));
    }
    change(&store, vec![delete("a")]).await;
    expected.push("-a".to_owned());
    let events = events(&mut watch, expected.len()).await;
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(events.is_sorted_by(|one, next| one.modified() < next.modified()));
    assert!(events[0].modified() > from);
}

pub async fn a_watch_tells_of_its_range_alone(bed: impl Bed) {
    let store = bed.way();
    let from = standing(&store).await.revision;
    let mut prefix = store.watch(Range::prefix("a/"), from).await.expect("a watch");
    let mut key = store.watch(Range::key("a/b"), from).await.expect("a watch");
    let mut rest = store.watch(Range::from("a/b"), from).await.expect("a watch");
    for name in ["a", "a0", "a/b", "a/bc", "b", "a/", "a/b"] {
        change(&store, vec![put(name, "")]).await;
    }
    let told = async |watch: &mut _, count| {
        events(watch, count).await.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut prefix, 4).await, ["a/b=", "a/bc=", "a/=", "a/b="]);
    assert_eq!(told(&mut key, 2).await, ["a/b=", "a/b="]);
    assert_eq!(told(&mut rest, 5).await, ["a0=", "a/b=", "a/bc=", "b=", "a/b="]);
}

pub async fn a_watch_tells_a_transaction_at_once(bed: impl Bed) {
    let store = bed.way();
    let from = change(&store, vec![put("moves/k", "b"), put("claims/k", "a")]).await;
    let mut watch = store.watch(Range::all(), from).await.expect("a watch");
    let revision = change(&store, vec![put("claims/k", "b"), delete("moves/k")]).await;
    let batch = batch(&mut watch).await;
    assert_eq!(batch.revision, revision);
    let told: HashSet<_> = batch.events.iter().map(told).collect();
    assert_eq!(told, HashSet::from(["claims/k=b".to_owned(), "-moves/k".to_owned()]));
    assert!(batch.events.iter().all(|event| event.modified() == revision));
    let is_claim = |event: &&Event| event.key() == "claims/k";
    let Some(Event::Put(claim)) = batch.events.iter().find(is_claim) else { panic!("no put") };
    assert_eq!((claim.created, claim.modified), (from, revision));
}

pub async fn two_watches_are_told_the_same(bed: impl Bed) {
    let (one, other) = (bed.way(), bed.way());
    let from = standing(&one).await.revision;
    let mut first = one.watch(Range::all(), from).await.expect("a watch");
    let mut second = other.watch(Range::all(), from).await.expect("a watch");
    let third = one.watch(Range::all(), from).await.expect("a watch");
    drop(third);
    for n in 0..10 {
        change(&one, vec![put("a", &n.to_string())]).await;
    }
    assert_eq!(events(&mut first, 10).await, events(&mut second, 10).await);
}

pub async fn a_watch_loses_nothing_to_those_who_stop_waiting(bed: impl Bed) {
    let store = bed.way();
    let from = standing(&store).await.revision;
    let mut watch = store.watch(Range::all(), from).await.expect("a watch");
    let writer = bed.way();
    let writing = tokio::spawn(async move {
        for n in 0..100 {
            change(&writer, vec![put("a", &n.to_string())]).await;
        }
    });
    let mut told = Vec::new();
    let all = async {
        while told.len() < 100 {
            // Given up at once, again and again.
            let next = tokio::time::timeout(Duration::from_micros(300), watch.next()).await;
            if let Ok(batch) = next {
                told.extend(batch.expect("the watch goes on").events.iter().map(told_value));
            }
        }
    };
    soon(all).await;
    assert_eq!(told, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    writing.await.expect("no panic");
}

fn told_value(event: &Event) -> String {
    told(event).split_once('=').expect("a put").1.to_owned()
}

pub async fn a_request_that_is_dropped_leaves_the_store_usable(bed: impl Bed) {
    let store = bed.way();
    for n in 0..50 {
        let transaction = if_all([created("a", 0)], vec![put("b", &n.to_string())]);
        let patience = Duration::from_micros(n * 40);
        let _ = tokio::time::timeout(patience, store.commit(transaction)).await;
        let _ = tokio::time::timeout(patience, store.list(Range::all())).await;
    }
    change(&store, vec![put("a", "usable")]).await;
    assert_eq!(value(&store, "a").await.as_deref(), Some("usable"));
}

pub async fn what_was_compacted_is_too_old(bed: impl Bed) {
    let store = bed.way();
    let first = change(&store, vec![put("a", "1"), put("b", "1")]).await;
    change(&store, vec![put("a", "2")]).await;
    change(&store, vec![delete("b")]).await;
    let last = change(&store, vec![put("a", "3")]).await;
    bed.compact(last);
    let page = store.page(Range::all(), Some(first)).await;
    assert!(matches!(page, Err(StoreError::TooOld)), "{page:?}");
    let mut watched = store.watch(Range::all(), first).await;
    if let Ok(watch) = &mut watched {
        let told = soon(watch.next()).await;
        assert!(matches!(told, Err(StoreError::TooOld)), "{told:?}");
    } else {
        assert!(matches!(watched, Err(StoreError::TooOld)));
    }
    // What is there is there, and goes on.
    let (at, records) = store.list(Range::all()).await.expect("a list");
    assert_eq!(keys(&records), ["a"]);
    assert!(does(&store, [modified("a", last)], vec![put("a", "4")]).await);
    let mut watch = store.watch(Range::all(), at.revision).await.expect("a watch");
    assert_eq!(told(&events(&mut watch, 1).await[0]), "a=4");
}
