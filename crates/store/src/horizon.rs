//! Whether a store has come back with an older state.
//!
//! Answers to requests that are under way at once may come in any order, so that the highest
//! revision seen says nothing about them. What holds: an answer is never older than what had been
//! answered **before its request was sent**.

use crate::{Standing, StoreError};
use std::sync::{Mutex, PoisonError};

/// The newest that has been heard of a store.
#[derive(Debug, Default)]
pub(crate) struct Horizon(Mutex<Heard>);

/// What had been heard when a request was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// How often the store has come back with an older state.
    returns: u64,
    /// `None` before the first answer.
    newest: Option<Standing>,
}

impl Horizon {
    /// To be asked before a request is sent.
    pub fn heard(&self) -> Heard {
        *self.lock()
    }

    /// Takes in an answer to a request before which this had been heard.
    pub fn accept(&self, before: Heard, has: Standing) -> Result<(), StoreError> {
        let mut heard = self.lock();
        // Of two first answers, too, the second is of the same store as the first.
        let same_store = heard.newest.map(|newest| Standing { revision: 0, ..newest });
        let had = before.newest.or(same_store).unwrap_or(has);
        let is_of_before = before.returns != heard.returns;
        if !is_of_before && has.cluster == had.cluster && has.revision >= had.revision {
            let newest = heard.newest.get_or_insert(has);
            newest.revision = newest.revision.max(has.revision);
            return Ok(());
        }
        if !is_of_before {
            *heard = Heard { returns: heard.returns + 1, newest: Some(has) };
        }
        Err(StoreError::WentBack { had, has })
    }

    /// Takes in what a stream tells that began when this had been heard. Its member may be behind
    /// the others, but it is one of them, and a stream of before a return tells nothing any more.
    pub fn hear(&self, begun: Heard, has: Standing) -> Result<(), StoreError> {
        let mut heard = self.lock();
        let newest = *heard.newest.get_or_insert(has);
        if begun.returns != heard.returns || newest.cluster != has.cluster {
            return Err(StoreError::WentBack { had: begun.newest.unwrap_or(newest), has });
        }
        heard.newest = Some(Standing { revision: newest.revision.max(has.revision), ..newest });
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cluster: u64, revision: u64) -> Standing {
        Standing { cluster, revision }
    }

    #[test]
    fn answers_of_requests_under_way_at_once_may_come_in_any_order() {
        let horizon = Horizon::default();
        let (first, second) = (horizon.heard(), horizon.heard());
        assert_eq!(horizon.accept(second, at(1, 11)), Ok(()));
        assert_eq!(horizon.accept(first, at(1, 10)), Ok(()));
        assert_eq!(horizon.accept(horizon.heard(), at(1, 11)), Ok(()));
    }

    #[test]
    fn an_answer_older_than_what_was_heard_before_it_is_a_return() {
        let horizon = Horizon::default();
        horizon.accept(horizon.heard(), at(1, 100)).expect("the first");
        let (before, beside) = (horizon.heard(), horizon.heard());
        let went_back = Err(StoreError::WentBack { had: at(1, 100), has: at(1, 50) });
        assert_eq!(horizon.accept(before, at(1, 50)), went_back);
        assert!(horizon.accept(beside, at(1, 101)).is_err(), "of before, and later than it");
        assert_eq!(horizon.accept(horizon.heard(), at(1, 51)), Ok(()));
        assert!(horizon.accept(horizon.heard(), at(1, 50)).is_err());
    }

    #[test]
    fn what_a_stream_tells_is_known_too() {
        let horizon = Horizon::default();
        horizon.accept(horizon.heard(), at(1, 50)).expect("the first");
        let begun = horizon.heard();
        assert_eq!(horizon.hear(begun, at(1, 100)), Ok(()));
        assert_eq!(horizon.hear(begun, at(1, 90)), Ok(()), "its member is behind");
        assert!(horizon.accept(horizon.heard(), at(1, 60)).is_err());
        assert!(horizon.hear(begun, at(1, 101)).is_err(), "it is of before the return");
        assert_eq!(horizon.accept(horizon.heard(), at(1, 60)), Ok(()));
        assert!(horizon.hear(horizon.heard(), at(2, 60)).is_err());
    }

    #[test]
    fn another_cluster_is_another_store() {
        let horizon = Horizon::default();
        horizon.accept(horizon.heard(), at(1, 5)).expect("the first");
        assert!(horizon.accept(horizon.heard(), at(2, 500)).is_err());
        assert_eq!(horizon.accept(horizon.heard(), at(2, 500)), Ok(()));
    }

    #[test]
    fn two_first_answers_of_different_clusters_are_told() {
        let horizon = Horizon::default();
        let (first, second) = (horizon.heard(), horizon.heard());
        horizon.accept(first, at(1, 5)).expect("the first");
        assert!(horizon.accept(second, at(2, 5)).is_err());
    }
}
