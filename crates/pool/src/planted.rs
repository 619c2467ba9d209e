//! Bugs on purpose: each breaks one rule at the place where the pool keeps it, so that it is known
//! which mistakes the simulation would find, and how soon.
//!
//! They are in tests only: without the feature `planted` no bug can be chosen, [`planted`] is the
//! constant `false`, and the compiler leaves nothing of them.

/// What is wrong. One bug at a time is planted, for the thread that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Invariant 1: a process counts as gone when its grace is over, and the key is started beside
    /// it.
    GraceIsTheEnd,
    /// Invariant 2: one more than `max_concurrent` gets room.
    OneTooMany,
    /// Invariant 3: the exit of what was restarted is not told.
    ExitIsNotTold,
    /// Invariant 3: something is told of a process after its exit.
    ToldAfterExit,
    /// Invariant 4: the abort of one call forgets those that wait with it.
    AbortForgetsOthers,
    /// Invariant 4: a call that comes while a failed start is cleared away is never answered.
    FailureIsNotHeard,
    /// Invariant 6: the deadline of what is gone stays.
    DeadlineStays,
    /// Invariant 6: what is asked for after `dispose` is started.
    StartsAfterDispose,
    /// Invariant 7: the most recently touched tenant makes room.
    MostRecentLeaves,
    /// Invariant 7: a tenant can be evicted the moment that it is ready.
    NoTenure,
    /// Invariant 7: a tenant that is touched while it is chosen as the victim leaves.
    ClaimIsBlind,
    /// Invariant 7: a tenant in use makes room as if it were not.
    UseMakesRoom,
    /// Invariants 7 and 11: the count of uses is not looked at after a claim.
    ClaimIsBlindToUse,
    /// Invariant 8: callers are given the tenant of another key.
    AnothersTenant,
    /// Invariant 10: a deadline is set for this very moment.
    DueAtOnce,
    /// Invariant 11: tenants are idle after half the time.
    IdleTooSoon,
    /// Invariant 11: an idle stop asks for no connections and no `shouldIdleKill` before.
    ShouldIdleKillIsNotAsked,
    /// Invariant 11: a tenant in use is idle.
    UseIsIdleness,
    /// Invariant 11: `shouldIdleKill` is asked again before it has answered.
    AskedTwice,
    /// Invariant 12: what ends while it is being saved is gone at once.
    SaveIsNotAwaited,
    /// Invariant 12: an eviction saves.
    EvictionSaves,
    /// Invariant 12: what has been restored is kept, to be restored again.
    ImageIsKept,
    /// Invariant 12: what is doubtful is not dropped.
    DoubtfulStays,
    /// Invariant 12: an image counts, however its process has ended.
    AnyEndCounts,
    /// Invariant 12: a save that took too long counts when it is done.
    LateSaveCounts,
    /// Invariant 12: a key is started while the snapshot driver has it in hand.
    StartsBesideACall,
    /// Invariant 12: an adopted process leaves the image of the one before.
    AdoptionKeepsImage,
    /// Invariant 12: a start that is called off before anything was restored costs the image.
    CallingOffDrops,
    /// A later cause of an exit replaces the first.
    LastCauseWins,
    /// A tenant that is being stopped can still be taken from its lease.
    LeaseStaysOpen,
    /// The CPU time of a tenant falls.
    CpuTimeFalls,
    /// A tenant that did not become ready is not backed off from.
    FailureIsForgotten,
    /// A start that is over keeps its permit.
    PermitIsLost,
    /// The key that came last is let in first.
    LastComeFirstServed,
    /// A restart gives its room away.
    RestartLosesRoom,
    /// What never became ready and refuses to end is handed out.
    StrandedIsHandedOut,
    /// `drain` is told each time.
    DrainIsToldAgain,
    /// Invariant 1: a release that has become ready does not serve.
    OldReleaseServes,
    /// Invariant 1: callers are handed what has retired.
    RetiredIsHandedOut,
    /// What has retired is never stopped.
    RetiredStays,
    /// A deploy that fails is a failure of the key, and what it leaves is the key's history.
    FailuresOfAnotherRelease,
    /// A tenant is stopped to make room, or for being idle, while its next release comes up.
    DeployLosesItsTenant,
    /// A kill ends only what serves.
    SecondTreeStays,
    /// A kill is answered when what serves has ended, and a second tree has not.
    KillForgetsTheSecond,
    /// A retired tenant that is in use counts as left.
    UseEndsWithRelease,
    /// The connections of a retired tenant are not looked for.
    RetiredIsNotLookedAt,
    /// Invariant 13: a tenant in use is asked to end at once.
    UsesAreCutOff,
    /// Invariant 13: that the last use has ended is not heard.
    LastUseIsNotHeard,
    /// Invariant 12: a release that begins to serve continues, later, from what the one before was.
    ReleaseKeepsImage,
    /// A warm tenant is stopped for being idle.
    WarmIsIdle,
    /// A warm tenant makes room as if it were not warm.
    WarmMakesRoom,
    /// A start that no caller waits for makes a warm tenant leave.
    WarmEvictsWarm,
    /// A warm tenant that was evicted makes another leave at once.
    EvictedWarmPushes,
    /// A warm key that ended by itself is not started again.
    WarmStaysDown,
    /// A warm key is started inside the window of its failures.
    WarmIgnoresTheWindow,
    /// A warm key is started while draining.
    WarmthOutlastsDrain,
    /// A warm key that was killed is started again.
    KillForgetsNoWarmth,
    /// The abort of its last caller calls the start of a warm key off.
    AbortEndsWarmStarts,
    /// What has retired leaves as late as if it were still warm.
    RetiredStaysWarm,
    /// A run is forced when the pool's own time is over, whatever its rules say.
    OneStopTimeForAll,
    /// A run is idle after the pool's own time, whatever its rules say.
    OneIdleTimeForAll,
    /// Of two releases that were found the earlier one serves.
    EarlierReleaseServes,
    /// A retired release that was found serves again, if no other does.
    RetiredServesAgain,
    /// A tenant that was found counts as just touched.
    FoundIsTouched,
    /// A tenant that was found has a tenure.
    FoundHasTenure,
    /// A key is started while what was being ended of it, when it was found, still lives.
    FoundEndingIsOver,
    /// Of those that were found too many stay.
    SurplusStays,
    /// The CPU time of a tenant that was found begins anew.
    CpuTimeBeginsAnew,
    /// A warm tenant that has ended while there was no host is not started again.
    FoundDeadStaysDown,
    /// A host that leaves stops the starts that calls wait for.
    DetachCutsStartsShort,
    /// A host that leaves lets go of what it has asked to end.
    WhatEndsIsLetGo,
    /// A tenant sleeps before its time.
    SleepsTooSoon,
    /// A tenant sleeps that has just been woken.
    SleepsAtOnce,
    /// A tenant's connections are not looked for before it sleeps.
    SleepsConnected,
    /// A tenant sleeps that is at work by itself.
    SleepsAtWork,
    /// `shouldSleep` is not asked.
    ShouldSleepIsNotAsked,
    /// What connected in the moment before the tree stood is not seen.
    FrozenIsNotChecked,
    /// One more sleeps than may.
    OneSleepsTooMany,
    /// A sleeper is woken where there is no room.
    WakesWithoutRoom,
    /// A sleeper is asked to end before it is awake.
    StopsAsleep,
    /// A sleeper that runs without an order is laid to rest again for ever.
    StirsAreNotCounted,
    /// One that cannot be kept asleep has others leave for it.
    StirsTakeRoom,
    /// A host that is short of memory is left alone.
    PressureIsIgnored,
    /// The tenant that costs least makes room.
    CheapestLeaves,
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

    /// Plants a bug in all pools of this thread, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Every bug there is.
    pub const ALL: &[Bug] = &[
        Bug::GraceIsTheEnd,
        Bug::OneTooMany,
        Bug::ExitIsNotTold,
        Bug::ToldAfterExit,
        Bug::AbortForgetsOthers,
        Bug::FailureIsNotHeard,
        Bug::DeadlineStays,
        Bug::StartsAfterDispose,
        Bug::MostRecentLeaves,
        Bug::NoTenure,
        Bug::ClaimIsBlind,
        Bug::UseMakesRoom,
        Bug::ClaimIsBlindToUse,
        Bug::AnothersTenant,
        Bug::DueAtOnce,
        Bug::IdleTooSoon,
        Bug::ShouldIdleKillIsNotAsked,
        Bug::UseIsIdleness,
        Bug::AskedTwice,
        Bug::SaveIsNotAwaited,
        Bug::EvictionSaves,
        Bug::ImageIsKept,
        Bug::DoubtfulStays,
        Bug::AnyEndCounts,
        Bug::LateSaveCounts,
        Bug::StartsBesideACall,
        Bug::AdoptionKeepsImage,
        Bug::CallingOffDrops,
        Bug::LastCauseWins,
        Bug::LeaseStaysOpen,
        Bug::CpuTimeFalls,
        Bug::FailureIsForgotten,
        Bug::PermitIsLost,
        Bug::LastComeFirstServed,
        Bug::RestartLosesRoom,
        Bug::StrandedIsHandedOut,
        Bug::DrainIsToldAgain,
        Bug::OldReleaseServes,
        Bug::RetiredIsHandedOut,
        Bug::RetiredStays,
        Bug::FailuresOfAnotherRelease,
        Bug::DeployLosesItsTenant,
        Bug::SecondTreeStays,
        Bug::KillForgetsTheSecond,
        Bug::UseEndsWithRelease,
        Bug::RetiredIsNotLookedAt,
        Bug::UsesAreCutOff,
        Bug::LastUseIsNotHeard,
        Bug::ReleaseKeepsImage,
        Bug::WarmIsIdle,
        Bug::WarmMakesRoom,
        Bug::WarmEvictsWarm,
        Bug::EvictedWarmPushes,
        Bug::WarmStaysDown,
        Bug::WarmIgnoresTheWindow,
        Bug::WarmthOutlastsDrain,
        Bug::KillForgetsNoWarmth,
        Bug::AbortEndsWarmStarts,
        Bug::RetiredStaysWarm,
        Bug::OneStopTimeForAll,
        Bug::OneIdleTimeForAll,
        Bug::EarlierReleaseServes,
        Bug::RetiredServesAgain,
        Bug::FoundIsTouched,
        Bug::FoundHasTenure,
        Bug::FoundEndingIsOver,
        Bug::SurplusStays,
        Bug::CpuTimeBeginsAnew,
        Bug::FoundDeadStaysDown,
        Bug::DetachCutsStartsShort,
        Bug::WhatEndsIsLetGo,
        Bug::SleepsTooSoon,
        Bug::SleepsAtOnce,
        Bug::SleepsConnected,
        Bug::SleepsAtWork,
        Bug::ShouldSleepIsNotAsked,
        Bug::FrozenIsNotChecked,
        Bug::OneSleepsTooMany,
        Bug::StirsAreNotCounted,
        Bug::StirsTakeRoom,
        Bug::WakesWithoutRoom,
        Bug::StopsAsleep,
        Bug::PressureIsIgnored,
        Bug::CheapestLeaves,
    ];
}
