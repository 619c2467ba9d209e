//! Bugs on purpose: each breaks one rule at the place where it is kept, so that it is known which
//! mistakes the simulation would find, and how soon.
//!
//! They are in tests only: without the feature `planted` no bug can be chosen, [`planted`] is the
//! constant `false`, and the compiler leaves nothing of them.

/// What is wrong. One bug at a time is planted, for the thread that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A beat lets its host serve from the moment it was answered.
    ServesFromTheAnswer,
    /// The end of a host's time is seen late by itself.
    FencesLate,
    /// A host that was fenced clears its session away before its tenants are killed.
    KillsNothing,
    /// An observer waits half the time.
    GoneTooSoon,
    /// A host is removed although it has beaten since.
    RemovesBlindly,
    /// Nobody looks at the beats of others.
    NobodyObserves,
    /// A record of another process with this host's id counts as its own.
    AnothersIdIsOwn,
    /// A claim that the watch tells of counts, although it may be of the past.
    WatchIsBelieved,
    /// A claim whose answer was lost stays, and nobody serves it.
    UnknownIsLeft,
    /// A claim is given up before the tenant has ended.
    ReleasesBeforeTheEnd,
    /// A key passes while requests of it are in flight.
    PassesWhatIsInFlight,
    /// A key that is held is handed out.
    HeldIsHandedOut,
    /// A key is served again here when nobody knows whether it has passed.
    DoubtIsForgotten,
    /// A key that is to pass is served by the new host as soon as that is ready.
    ServesBeforeItPasses,
    /// What was passed on has the epoch of the claim before.
    PassedKeepsItsEpoch,
    /// A store that came back older is claimed in at once.
    OpensAtOnce,
    /// Answers of a store that came back older are believed.
    OldStoreCounts,
    /// In a store that came back older, epochs begin from its revisions.
    EpochsBeginAnew,
    /// A host that drains keeps what is in use.
    DrainLeavesTheBusy,
}

/// Whether the bug is there.
#[cfg(not(feature = "planted"))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub(crate) use chosen::planted;
#[cfg(feature = "planted")]
pub use chosen::{ALL, plant};

#[cfg(feature = "planted")]
mod chosen {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug in all values of this thread, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Every bug there is.
    pub const ALL: &[Bug] = &[
        Bug::ServesFromTheAnswer,
        Bug::FencesLate,
        Bug::KillsNothing,
        Bug::GoneTooSoon,
        Bug::RemovesBlindly,
        Bug::NobodyObserves,
        Bug::AnothersIdIsOwn,
        Bug::WatchIsBelieved,
        Bug::UnknownIsLeft,
        Bug::ReleasesBeforeTheEnd,
        Bug::PassesWhatIsInFlight,
        Bug::HeldIsHandedOut,
        Bug::DoubtIsForgotten,
        Bug::ServesBeforeItPasses,
        Bug::PassedKeepsItsEpoch,
        Bug::OpensAtOnce,
        Bug::OldStoreCounts,
        Bug::EpochsBeginAnew,
        Bug::DrainLeavesTheBusy,
    ];
}
