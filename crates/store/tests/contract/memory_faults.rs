//! Faults, as the store in memory has them. Its time does not pass: only what is waited for does.

use crate::bed::{change, created, delete, does, if_all, put, record, standing, value};
use crate::followers::{Following, follow};
use std::time::Duration;
use store::{
    MemoryStore, MemoryWatch, News, Outcome, Page, Range, Record, Result, Revision, Rhythm,
    Standing, Store, StoreError, Transaction,
};

#[tokio::test]
async fn what_cannot_be_reached_carries_out_nothing() {
    let (store, other) = (MemoryStore::new(), MemoryStore::new());
    let cut_off = store.another_way();
    cut_off.set_reachable(false);
    let refused = cut_off.commit(if_all([], vec![put("a", "")])).await;
    assert!(matches!(refused, Err(StoreError::Unreachable(_))), "{refused:?}");
    assert!(cut_off.list(Range::all()).await.is_err());
    assert_eq!(record(&store, "a").await, None);
    assert_eq!(record(&other, "a").await, None);
    cut_off.set_reachable(true);
    change(&cut_off, vec![put("a", "")]).await;
    assert!(record(&store, "a").await.is_some(), "one store");
}

#[tokio::test]
async fn a_lost_answer_says_nothing_of_what_was_done() {
    let store = MemoryStore::new();
    store.lose_answers(1);
    let first = store.commit(if_all([created("a", 0)], vec![put("a", "1")])).await;
    assert!(matches!(first, Err(StoreError::Unknown(_))), "{first:?}");
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    store.lose_requests(1);
    let second = store.commit(if_all([created("b", 0)], vec![put("b", "1")])).await;
    assert_eq!(first.map(drop), second.map(drop), "who asked cannot tell");
    assert_eq!(record(&store, "b").await, None);
}

#[tokio::test(start_paused = true)]
async fn what_goes_away_on_the_way_back_is_unknown() {
    let store = MemoryStore::new();
    let way = store.another_way();
    way.set_delays(Duration::from_secs(1), Duration::from_secs(1));
    let asked = tokio::spawn({
        let way = way.clone();
        async move { way.commit(if_all([], vec![put("a", "")])).await }
    });
    let mut watch = store.watch(Range::all(), 1).await.expect("a watch");
    crate::bed::batch(&mut watch).await;
    way.set_reachable(false);
    let answer = asked.await.expect("no panic");
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
}

#[tokio::test]
async fn an_older_state_is_told_to_everybody_once() {
    let store = MemoryStore::new();
    let ways = [store.another_way(), store.another_way()];
    change(&store, vec![put("a", "old")]).await;
    let backup = store.copy();
    change(&store, vec![put("a", "new")]).await;
    for way in &ways {
        assert_eq!(value(way, "a").await.as_deref(), Some("new"));
    }
    store.roll_back(&backup);
    for way in &ways {
        let told = way.read(vec!["a".to_owned()]).await;
        assert!(matches!(told, Err(StoreError::WentBack { .. })), "{told:?}");
        assert_eq!(value(way, "a").await.as_deref(), Some("old"));
    }
    // One that has heard of nothing newer has nothing to be told.
    assert_eq!(value(&store.another_way(), "a").await.as_deref(), Some("old"));
}

fn rhythm() -> Rhythm {
    Rhythm::default()
}

async fn lost(following: &mut Following) -> StoreError {
    match following.next().await {
        News::Lost(why) => why,
        news => panic!("not lost: {news:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_noticed_and_what_it_kept_is_listed() {
    let store = MemoryStore::new();
    let way = store.another_way();
    let mut following = follow(way.clone(), rhythm());
    assert_eq!(following.listed().await, []);
    way.set_watches_silent(true);
    change(&store, vec![put("claims/a", "")]).await;
    assert_eq!(lost(&mut following).await, StoreError::Silent);
    way.set_watches_silent(false);
    assert_eq!(following.listed().await.len(), 1);
    change(&store, vec![delete("claims/a")]).await;
    assert_eq!(following.told().await, ["-claims/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_not_silent_is_kept_for_long() {
    let store = MemoryStore::new();
    let mut following = follow(store.another_way(), rhythm());
    following.listed().await;
    for n in 0..50 {
        // Longer than the follower is patient.
        tokio::time::sleep(Duration::from_secs(7)).await;
        change(&store, vec![put("claims/a", &n.to_string())]).await;
        let News::Changed(_) = following.next().await else { panic!("it was lost") };
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_is_listed_again() {
    let store = MemoryStore::new();
    let way = store.another_way();
    let mut following = follow(way.clone(), rhythm());
    change(&store, vec![put("claims/a", "")]).await;
    following.listed().await;
    way.break_watches();
    change(&store, vec![delete("claims/a"), put("claims/b", "")]).await;
    assert!(matches!(lost(&mut following).await, StoreError::Unreachable(_)));
    let records = following.listed().await;
    assert_eq!(crate::bed::keys(&records), ["claims/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_for_a_moment_does_not_end_the_watch() {
    let store = MemoryStore::new();
    let way = store.another_way();
    let mut following = follow(way.clone(), rhythm());
    following.listed().await;
    // The pulse is put again until its time is up, as it has to be during an election.
    tokio::time::sleep(Duration::from_secs(1)).await;
    way.set_reachable(false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    way.set_reachable(true);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(following.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_for_longer_is_lost_until_it_is_back() {
    let store = MemoryStore::new();
    let way = store.another_way();
    let mut following = follow(way.clone(), rhythm());
    following.listed().await;
    way.set_reachable(false);
    assert_eq!(lost(&mut following).await, StoreError::Silent);
    assert!(matches!(lost(&mut following).await, StoreError::Unreachable(_)));
    change(&store, vec![put("claims/a", "")]).await;
    way.set_reachable(true);
    assert_eq!(following.listed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_follower_tells_that_the_store_went_back_before_it_lists_the_older_state() {
    let store = MemoryStore::new();
    let mut following = follow(store.another_way(), rhythm());
    change(&store, vec![put("claims/a", "old")]).await;
    following.listed().await;
    let backup = store.copy();
    change(&store, vec![put("claims/a", "new")]).await;
    assert_eq!(following.told().await, ["claims/a=new"]);
    // What the watch told has to be known, too, when it is judged what is older.
    store.roll_back(&backup);
    assert!(matches!(lost(&mut following).await, StoreError::Unreachable(_)));
    assert!(matches!(lost(&mut following).await, StoreError::WentBack { .. }));
    let records = following.listed().await;
    assert_eq!(records[0].value, b"old");
    change(&store, vec![put("claims/a", "newer")]).await;
    assert_eq!(following.told().await, ["claims/a=newer"]);
}

#[tokio::test(start_paused = true)]
async fn a_pulse_that_somebody_deletes_is_put_again() {
    let store = MemoryStore::new();
    let mut following = follow(store.another_way(), rhythm());
    following.listed().await;
    for _ in 0..5 {
        let from = standing(&store).await.revision;
        let pulse = Range::key(crate::followers::PULSE);
        let mut watch = store.watch(pulse, from).await.expect("a watch");
        crate::bed::batch(&mut watch).await;
        change(&store, vec![delete(crate::followers::PULSE)]).await;
    }
    assert!(following.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_tells_much_has_to_tell_of_the_pulse_too() {
    let store = MemoryStore::new();
    let mut following = follow(store.another_way(), rhythm());
    following.listed().await;
    for n in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        change(&store, vec![put("claims/a", &n.to_string())]).await;
        following.told().await;
    }
    assert!(record(&store, crate::followers::PULSE).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn many_followers_put_no_more_pulses_than_one() {
    const SECONDS: u64 = 60;
    let store = MemoryStore::new();
    let all: Vec<_> = (0..20)
        .map(|_| {
            let way = store.another_way();
            // So long several find it quiet before the first has put the pulse.
            way.set_delays(Duration::from_millis(300), Duration::ZERO);
            follow(way, rhythm())
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    assert!(store.revision() > SECONDS / 4, "nobody puts it");
    assert!(store.revision() <= SECONDS, "{}", store.revision());
    drop(all);
}

/// A store whose watches tell what was told before, as one does that begins too early.
#[derive(Clone)]
struct TellingAgain(MemoryStore);

impl Store for TellingAgain {
    type Watch = MemoryWatch;

    async fn commit(&self, transaction: Transaction) -> Result<Outcome> {
        self.0.commit(transaction).await
    }

    async fn read(&self, keys: Vec<String>) -> Result<(Standing, Vec<Option<Record>>)> {
        self.0.read(keys).await
    }

    async fn page(&self, range: Range, of: Option<Revision>) -> Result<Page> {
        self.0.page(range, of).await
    }

    async fn watch(&self, range: Range, _after: Revision) -> Result<MemoryWatch> {
        self.0.watch(range, 0).await
    }
}

#[tokio::test]
async fn what_is_older_than_the_list_is_not_told_after_it() {
    let store = MemoryStore::new();
    change(&store, vec![put("claims/a", "1")]).await;
    change(&store, vec![put("claims/a", "2")]).await;
    let mut following = follow(TellingAgain(store.clone()), rhythm());
    assert_eq!(following.listed().await[0].value, b"2");
    change(&store, vec![put("claims/a", "3")]).await;
    assert_eq!(following.told().await, ["claims/a=3"]);
}

#[tokio::test]
async fn a_transaction_without_its_conditions_met_is_refused_with_what_is_there() {
    let store = MemoryStore::new();
    change(&store, vec![put("a", "1")]).await;
    let outcome = store.commit(if_all([created("a", 0)], vec![put("a", "2")])).await;
    let Ok(Outcome::Refused { read, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(read[0].as_ref().map(|record| record.value.clone()), Some(b"1".to_vec()));
    assert!(!does(&store, [created("a", 0)], vec![]).await);
}
