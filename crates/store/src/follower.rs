//! Keeping a picture of a range that is never silently old.
//!
//! A watch alone is not enough. Every etcd before 3.6.2 could lose events of a watch that began
//! where another one had ended, a connection can be dead for minutes without anybody noticing, and
//! a member that has lost the others goes on to be connected, and tells nothing. So:
//!
//! * after each watch that ends, the whole range is listed again;
//! * every now and then a watch has to tell of a change that the follower makes: it puts the
//!   *pulse*, one record in the range that all followers share. The first whose time has come puts
//!   it, and all others hear of it, so that many followers cost no more than one. What the watch
//!   told up to the pulse's revision is then known to be all. So a picture is never older than
//!   [`Rhythm::quiet`] and [`Rhythm::silent`] together without that being told, also where a watch
//!   is only late.

use crate::{Batch, Change, Compare, Event, Outcome, Range, Record, Result, Revision, Standing};
use crate::{Store, StoreError, Transaction, Watch};
use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::pin::pin;
use std::time::Duration;
use tokio::time::sleep;

/// What a follower tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// All records of the range. What was known before and is not among them is gone.
    Listed {
        /// The state that they are of.
        at: Standing,
        /// By rising key.
        records: Vec<Record>,
    },
    /// What has changed since what was told last.
    Changed(Batch),
    /// From now until the next `Listed` nothing is told, and what was told may be old. Told after
    /// each attempt to list or to watch that fails.
    Lost(StoreError),
}

/// How patient a follower is.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// So long after the last pulse, or after half of that, there is another one.
    pub quiet: Duration,
    /// So long it has to tell of the pulse, including the time that the store takes to put it.
    pub silent: Duration,
    /// The pause after a failure; up to twice as long, so that not all hosts come back at once.
    pub pause: Duration,
}

impl Default for Rhythm {
    /// A dead watch is noticed within five seconds, which is what a lease is unless it is set.
    fn default() -> Rhythm {
        Rhythm {
            quiet: Duration::from_secs(2),
            silent: Duration::from_secs(3),
            pause: Duration::from_millis(200),
        }
    }
}

/// Follows a range of a store.
#[derive(Debug)]
pub struct Follower<S> {
    /// The store.
    pub store: S,
    /// What is followed.
    pub range: Range,
    /// A key in the range that nobody else uses. It is not told.
    pub pulse: String,
    /// How patient it is.
    pub rhythm: Rhythm,
}

impl<S: Store> Follower<S> {
    /// Tells what there is and what becomes of it, by rising revision. Dropping the future ends it.
    pub async fn run(&self, mut tell: impl FnMut(News)) -> Infallible {
        loop {
            let Err(why) = self.follow(&mut tell).await;
            tell(News::Lost(why));
            sleep(jittered(self.rhythm.pause)).await;
        }
    }

    /// Lists once, and watches until something fails.
    async fn follow(&self, tell: &mut impl FnMut(News)) -> Result<Infallible> {
        let (at, mut records) = self.store.list(self.range.clone()).await?;
        let is_pulse = |record: &Record| record.key == self.pulse;
        let pulse = records.iter().find(|record| is_pulse(record)).map_or(0, |it| it.modified);
        records.retain(|record| !is_pulse(record));
        let watch = self.store.watch(self.range.clone(), at.revision).await?;
        tell(News::Listed { at, records });
        let mut followed = Followed { follower: self, watch, told: at.revision, pulse };
        loop {
            followed.rest(tell).await?;
            followed.prove(tell).await?;
        }
    }
}

/// A watch that goes on.
struct Followed<'a, S: Store> {
    follower: &'a Follower<S>,
    watch: S::Watch,
    /// All up to this revision has been told.
    told: Revision,
    /// The revision that last put the pulse, as far as is known.
    pulse: Revision,
}

impl<S: Store> Followed<'_, S> {
    fn tell(&mut self, batch: Batch, tell: &mut impl FnMut(News)) {
        let Batch { revision, mut events } = batch;
        // A store that tells what it has told, or what the list had, tells nothing new.
        events.retain(|event| event.modified() > self.told);
        self.told = self.told.max(revision);
        let key = &self.follower.pulse;
        if let Some(pulse) = events.iter().rfind(|event| event.key() == key) {
            // Deleted it counts as not there: see `put_pulse`.
            self.pulse = if let Event::Put(record) = pulse { record.modified } else { 0 };
        }
        events.retain(|event| event.key() != key);
        if !events.is_empty() {
            tell(News::Changed(Batch { revision, events }));
        }
    }

    /// Hears the watch until the time for a pulse has come, counted from the last one.
    async fn rest(&mut self, tell: &mut impl FnMut(News)) -> Result<()> {
        let mut pulse = self.pulse;
        let mut end = pin!(sleep(self.follower.quiet()));
        loop {
            tokio::select! {
                batch = self.watch.next() => self.tell(batch?, tell),
                () = &mut end => return Ok(()),
            }
            if self.pulse != pulse {
                pulse = self.pulse;
                end.set(sleep(self.follower.quiet()));
            }
        }
    }

    /// Puts the pulse, and hears the watch until it has told of it.
    async fn prove(&mut self, tell: &mut impl FnMut(News)) -> Result<()> {
        let (follower, pulse) = (self.follower, self.pulse);
        let mut put = pin!(follower.put_pulse(pulse));
        let mut end = pin!(sleep(follower.rhythm.silent));
        let mut due = None;
        loop {
            if due.is_some_and(|due| self.told >= due) || self.pulse != pulse {
                return Ok(());
            }
            tokio::select! {
                batch = self.watch.next() => self.tell(batch?, tell),
                revision = &mut put, if due.is_none() => due = Some(revision?),
                () = &mut end => return Err(StoreError::Silent),
            }
        }
    }
}

impl<S: Store> Follower<S> {
    fn quiet(&self) -> Duration {
        jittered(self.rhythm.quiet / 2)
    }

    /// Puts the pulse, unless somebody else does; returns the revision of that. A store that cannot
    /// be asked just now is asked again: an election does not end what is still connected.
    async fn put_pulse(&self, seen: Revision) -> Result<Revision> {
        let key = || self.pulse.clone();
        let transaction = Transaction {
            if_all: vec![Compare::Modified { key: key(), is: seen }],
            then: vec![Change::Put { key: key(), value: Vec::new() }],
            else_read: vec![key()],
        };
        loop {
            match self.store.commit(transaction.clone()).await {
                Ok(Outcome::Committed { at }) => return Ok(at.revision),
                Ok(Outcome::Refused { at, read }) => {
                    let there = read.into_iter().flatten().next();
                    return Ok(there.map_or(at.revision, |record| record.modified));
                }
                Err(StoreError::Unreachable(_) | StoreError::Unknown(_)) => {
                    sleep(jittered(self.rhythm.pause)).await;
                }
                Err(why) => return Err(why),
            }
        }
    }
}

/// As long as it says up to twice that.
fn jittered(time: Duration) -> Duration {
    // The keys of a hash map are the randomness that the standard library has.
    let random = RandomState::new().hash_one(0u8) % 1_000;
    time + time.mul_f64(random as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[tokio::test]
    async fn of_followers_that_put_the_pulse_at_once_one_does() {
        let store = MemoryStore::new();
        let (range, pulse) = (Range::all(), "pulse".to_owned());
        let follower = Follower { store, range, pulse, rhythm: Rhythm::default() };
        let first = follower.put_pulse(0).await.expect("the store answers");
        let second = follower.put_pulse(0).await.expect("the store answers");
        assert_eq!((first, second), (2, 2));
        assert_eq!(follower.store.revision(), 2);
        assert_eq!(follower.put_pulse(first).await, Ok(3));
    }
}
