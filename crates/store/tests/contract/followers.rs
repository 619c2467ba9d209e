//! What followers hear, of every store.

use crate::bed::{Bed, SOON, change, delete, keys, put, soon, standing, told};
use std::time::Duration;
use store::{Follower, News, Range, Record, Rhythm, Store};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

pub const PULSE: &str = "pulse";

/// A follower that runs until it is dropped.
pub struct Following {
    news: UnboundedReceiver<News>,
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows claims, hosts and moves, but not beats.
pub fn follow(store: impl Store, rhythm: Rhythm) -> Following {
    let (sender, news) = unbounded_channel();
    let (range, pulse) = (Range::from("claims/"), PULSE.to_owned());
    let follower = Follower { store, range, pulse, rhythm };
    let task = tokio::spawn(async move {
        follower.run(|news| drop(sender.send(news))).await;
    });
    Following { news, task }
}

impl Following {
    pub async fn next(&mut self) -> News {
        soon(self.news.recv()).await.expect("the follower runs")
    }

    /// What is listed next, whatever is told before; and how the last loss was explained.
    pub async fn listed(&mut self) -> Vec<Record> {
        loop {
            if let News::Listed { records, .. } = self.next().await {
                return records;
            }
        }
    }

    /// The next change: a follower may have to list in between.
    pub async fn told(&mut self) -> Vec<String> {
        loop {
            if let News::Changed(batch) = self.next().await {
                return batch.events.iter().map(told).collect();
            }
        }
    }

    /// Nothing has come that was not taken.
    pub fn is_quiet(&self) -> bool {
        self.news.is_empty()
    }
}

pub async fn a_follower_tells_what_there_is_and_what_becomes_of_it(bed: impl Bed) {
    let store = bed.way();
    change(&store, vec![put("beats/a", ""), put("claims/a", "1"), put("hosts/a", "")]).await;
    let mut following = follow(bed.way(), Rhythm::default());
    let News::Listed { at, records } = following.next().await else { panic!("no list") };
    assert_eq!(keys(&records), ["claims/a", "hosts/a"]);
    assert!(at.revision <= standing(&store).await.revision);
    change(&store, vec![put("beats/a", "not followed")]).await;
    change(&store, vec![put("claims/a", "2"), put("claims/b", "1")]).await;
    assert_eq!(following.told().await, ["claims/a=2", "claims/b=1"]);
    change(&store, vec![delete("claims/a")]).await;
    assert_eq!(following.told().await, ["-claims/a"]);
}

pub async fn followers_share_a_pulse_and_do_not_tell_it(bed: impl Bed) {
    const FOLLOWERS: usize = 8;
    let store = bed.way();
    let quiet = Duration::from_millis(200);
    let rhythm = Rhythm { quiet, silent: SOON, ..Rhythm::default() };
    let mut all: Vec<_> = (0..FOLLOWERS).map(|_| follow(bed.way(), rhythm)).collect();
    for following in &mut all {
        assert_eq!(following.listed().await, []);
    }
    // Everybody's watch is proven by what one of them puts.
    let from = standing(&store).await.revision;
    let mut watch = store.watch(Range::key(PULSE), from).await.expect("a watch");
    crate::bed::events(&mut watch, 5).await;
    assert!(all.iter().all(Following::is_quiet), "the pulse was told, or a watch lost");
    change(&store, vec![put("claims/a", "")]).await;
    for following in &mut all {
        assert_eq!(following.told().await, ["claims/a="]);
    }
}
