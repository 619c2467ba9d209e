//! Bugs on purpose, in parts that the pool's simulation cannot check: ports, output, descriptors,
//! memory, processes, limits and walls. The soak must find each, or a test of the warden where that
//! needs less time (`npm run planted`).
//!
//! Only builds for that purpose have them: without the feature `planted`, [`planted`] is the
//! constant `false`, and the compiler removes them. With it, `ABSOLUTE_RUNTIME_PLANTED` in the
//! host's environment names the bug that is active.

/// A bug; the numbers are those of the invariants in ARCHITECTURE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Invariant 5: some tenants get the port of another one.
    SamePort,
    /// Invariant 6: the port of some tenants stays reserved.
    DescriptorStays,
    /// Invariant 6: some memory is kept for each tenant that has ended.
    MemoryGrows,
    /// Invariant 6: processes that a tenant has started outlive it.
    DaemonsStay,
    /// Invariant 6: the warden and its tenants outlive the host.
    WardenStays,
    /// Invariant 6: the warden keeps a descriptor of some launches.
    WardenKeepsDescriptors,
    /// Invariant 4: some answers are lost.
    AnswerIsLost,
    /// Invariant 4: tenants that ignore SIGTERM are not killed.
    KillIsLost,
    /// Invariant 3: the exit is reported before the last lines.
    LinesAfterExit,
    /// Invariant 8: some output is reported as that of another tenant.
    AnothersOutput,
    /// Invariant 9: some pieces of output are lost.
    LineIsLost,
    /// A tenant counts as ready before it listens.
    ReadyTooSoon,
    /// A tenant gets SIGTERM twice.
    TermIsSentTwice,
    /// Invariant 6: the control groups of tenants outlive them.
    GroupStays,
    /// Invariant 6: so do their temporary directories.
    TemporaryDirectoryStays,
    /// That a tree was killed for its memory is not told.
    OutOfMemoryIsNotTold,
    /// Tenants are started without their walls.
    WallsAreNotPutUp,
    /// A run that was starting or ending when its host was lost goes on.
    UnfinishedOutlivesItsHost,
    /// An end that a lost host was told counts as taken.
    UntakenEndIsForgotten,
    /// Lines that a tenant has written without a host are lost and not counted.
    LostLinesAreNotCounted,
    /// A host that does not detach keeps its place.
    OwnerIsNeverFenced,
    /// A tree that forks while it falls asleep stands in part.
    FallLooksOnce,
    /// A process that had stopped by itself runs when its tree is woken.
    WakeContinuesAll,
    /// A tree that sleeps and runs all the same is left alone.
    NobodyKeepsVigil,
}

/// Whether the bug is there.
#[cfg(not(feature = "planted"))]
pub const fn planted(_: Bug) -> bool {
    false
}

/// Whether it is there, and this is one of the occasions, one in `occasions`, on which it shows.
#[cfg(not(feature = "planted"))]
pub const fn planted_once_in(_: usize, _: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use chosen::{planted, planted_once_in};

#[cfg(feature = "planted")]
mod chosen {
    use super::Bug;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Whether the bug is there.
    pub fn planted(bug: Bug) -> bool {
        static NAME: LazyLock<Option<String>> = LazyLock::new(chosen);
        NAME.as_ref().is_some_and(|name| *name == format!("{bug:?}"))
    }

    /// Whether it is there, and this is one of the occasions, one in `occasions`, on which it
    /// shows.
    pub fn planted_once_in(occasions: usize, bug: Bug) -> bool {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        planted(bug) && COUNT.fetch_add(1, Ordering::Relaxed) % occasions == occasions - 1
    }

    /// The bug's name. The environments of the warden and its keepers are empty, so it is read
    /// from that of the host above them.
    fn chosen() -> Option<String> {
        let mut process = String::from("self");
        for _ in 0..3 {
            let environment = std::fs::read(format!("/proc/{process}/environ")).ok()?;
            let named = environment
                .split(|byte| *byte == 0)
                .find_map(|one| one.strip_prefix(b"ABSOLUTE_RUNTIME_PLANTED="));
            if let Some(name) = named {
                return String::from_utf8(name.to_owned()).ok();
            }
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            process = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.to_owned();
        }
        None
    }
}
