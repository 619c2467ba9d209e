//! The small values everything else is made of.

use crate::{Backoff, ExitReason, GateConfig, RunRules};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// A tenant's name. Shared, because it stands in several indexes at once.
pub type Key = Arc<str>;

/// A map by key. Seeded at random, so that keys that collide are not found beforehand.
pub type KeyMap<V> = HashMap<Key, V, foldhash::fast::RandomState>;

/// One call of a user that waits to be settled; chosen by the caller, echoed in
/// [`crate::Action::Settle`].
pub type CallId = u64;

/// One process from the decision to start it until its end is confirmed. Never reused within a
/// pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// One version of a key's tenant: 0 is the one that was there before anything was deployed, and
/// each deploy that is started begins the next. Counted up for the whole pool and never reused, so
/// it says which of two was deployed later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(pub u64);

/// A map by run. Run ids are counted up by us, so no input can make them collide.
pub type RunMap<V> = HashMap<RunId, V, BuildHasherDefault<RunHasher>>;

/// Spreads consecutive numbers over all bits.
#[derive(Default)]
pub struct RunHasher(u64);

impl Hasher for RunHasher {
    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a run id is one number")
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The two clocks at one moment. Deadlines count on the steady one; idleness compares wall-clock
/// touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never jumps.
    pub steady_ms: u64,
    /// Milliseconds since the epoch.
    pub wall_ms: u64,
}

/// When a tenant was last touched. Ordered: by time, then by the order of touches within the
/// millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touch {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// A counter that grows with each touch; 0 for the touch of becoming ready.
    pub sequence: u64,
}

/// The touch clocks and the use counts of ready tenants, shared with callers that do not go through
/// the pool.
///
/// A lease is open while callers may be handed the tenant without the pool being asked. The
/// protocol that leaves no window: the pool *claims* and then looks at the count and the clock once
/// more; a caller *counts itself in use*, or *touches*, and then looks whether the lease is still
/// open. Whichever came second sees the other.
///
/// A use that ends is a touch, which is stored before the count goes down. So a look at the count
/// comes before the look at the clock.
pub trait Leases {
    /// Opens the lease of a run that became ready, touched at `wall_ms`.
    fn open(&mut self, run: RunId, wall_ms: u64);
    /// The last touch, without claiming.
    fn touched(&self, run: RunId) -> Touch;
    /// Whether a caller is counted in use at this moment: an open request, say. To be looked at
    /// after a claim, too.
    fn is_in_use(&self, run: RunId) -> bool;
    /// Touches on behalf of a caller that did come through the pool.
    fn touch(&mut self, run: RunId, wall_ms: u64);
    /// Closes the lease and returns the last touch as seen after closing.
    fn claim(&mut self, run: RunId) -> Touch;
    /// Opens a claimed lease again.
    fn reopen(&mut self, run: RunId);
}

/// What a process is to us. Two answers, since one does not follow from the other: a tenant that is
/// found again after a restart of the host is ours, and yet no child of our warden, so that ending
/// it may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Custody {
    /// Whose process it is.
    pub owner: Owner,
    /// Its stop may be refused, hang, or never end: it has a second deadline, and can be given up.
    /// Otherwise a kill ends in an exit.
    pub may_refuse_stop: bool,
}

/// Whose process one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Ours. It is ended when JavaScript goes without `dispose`, and whatever signals it in a stop
    /// is known.
    Us,
    /// The user's, whose functions start and stop it. It is let go of when JavaScript goes.
    User,
}

impl Custody {
    /// A process that we start, and end through our warden.
    pub const OURS: Custody = Custody { owner: Owner::Us, may_refuse_stop: false };
    /// A process that the user's functions start and end.
    pub const USERS: Custody = Custody { owner: Owner::User, may_refuse_stop: true };
}

/// The rules of one pool, already validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// Tenants that hold room at once: spawning, ready and dying ones.
    pub max_concurrent: usize,
    /// Stop a tenant this long after its last touch; `None` never.
    pub idle_after_ms: Option<u64>,
    /// How soon an idle stop that was refused is tried again.
    pub sweep_interval_ms: u64,
    /// How often live tenants are observed; `None` never.
    pub observe_interval_ms: Option<u64>,
    /// Whether users are told what is observed; it is known in any case.
    pub tells_observations: bool,
    /// From asking a process to end until it is forced to; 0 forces at once.
    pub stop_timeout_ms: u64,
    /// While a user's `kill` has not settled its stop is not given up, for this long at most.
    pub kill_patience_ms: u64,
    /// How long a key that keeps failing is refused.
    pub backoff: Backoff,
    /// How many starts run at once.
    pub gate: GateConfig,
    /// What the processes are that are started here. Those that are restored are always the user's.
    pub custody: Custody,
    /// The user's `shouldIdleKill` is asked before an idle tenant is stopped.
    pub asks_before_idle: bool,
    /// An open connection to a tenant counts as activity, too.
    pub heeds_connections: bool,
    /// An idle tenant is saved before it is stopped: how long that may take; `None` it is not.
    pub checkpoint_timeout_ms: Option<u64>,
    /// Idle tenants sleep before they are stopped; `None` they do not. Not heeded beside
    /// `checkpoint_timeout_ms`, nor for processes that are not ours.
    pub sleep: Option<Sleep>,
    /// The victim is who holds most memory for longest, for each millisecond of its own start. In
    /// place of the least recently active.
    pub evicts_by_cost: bool,
}

/// When tenants sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// From the last use until the tree is frozen.
    pub after_ms: u64,
    /// From the last use until its memory is paged out; `None` never.
    pub page_out_after_ms: Option<u64>,
    /// Beyond so many the least recently active sleeper is stopped.
    pub max_asleep: usize,
    /// From a start, and from each wake, until it may sleep.
    pub min_awake_ms: u64,
    /// What becomes of those that have outgoing connections.
    pub outgoing: Outgoing,
    /// The user's `shouldSleep` is asked before.
    pub asks: bool,
}

/// What becomes of tenants with outgoing connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// They stay awake.
    Stay,
    /// They sleep, and are awake for a moment each minute.
    Breathe,
    /// They sleep.
    Sleep,
}

/// How deep a tenant sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Its tree does not run.
    Frozen,
    /// And its memory was handed to swap.
    PagedOut,
}

impl Config {
    /// Ten processes of ours, without idle stops, observations, snapshots or a gate: what tests
    /// and benchmarks begin with. What users get by default is in `lib/options.js`.
    pub fn plain() -> Config {
        Config {
            max_concurrent: 10,
            idle_after_ms: None,
            sweep_interval_ms: 10_000,
            observe_interval_ms: None,
            tells_observations: true,
            stop_timeout_ms: 5_000,
            kill_patience_ms: 60_000,
            backoff: Backoff { base_ms: 1_000, max_ms: 60_000, max_failures: 10, min_uptime_ms: 0 },
            gate: GateConfig { width: None, patience_ms: None },
            custody: Custody::OURS,
            asks_before_idle: false,
            heeds_connections: false,
            checkpoint_timeout_ms: None,
            sleep: None,
            evicts_by_cost: false,
        }
    }
}

/// A process that is running already, as its owner hands it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub port: u16,
    /// When it was last active, in milliseconds since the epoch.
    pub touched_at_ms: u64,
    /// What it is to us from now on.
    pub custody: Custody,
}

/// A process of ours that was found alive, or whose end was not told, after the host that started
/// it has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Which of those that were found it is; chosen by the caller, echoed in
    /// [`crate::Action::Recover`].
    pub found: u64,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub port: u16,
    /// Which version of its key's tenant it is.
    pub release: Release,
    /// When it was last active, in milliseconds since the epoch.
    pub touched_at_ms: u64,
    /// For how long it has been ready; `None` if it never was.
    pub ready_for_ms: Option<u64>,
    /// The CPU time of its tree, as far as it is known.
    pub cpu_ms: u64,
    /// What holds for it alone.
    pub rules: RunRules,
    /// What it is to its key.
    pub part: Part,
}

/// What a process that was found is to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The tenant, unless a later release was found that serves, too.
    Serves,
    /// Another release serves or served in its place, and it may be in use for so long.
    Retires {
        /// At most.
        for_ms: u64,
    },
    /// It was asked to end, or is being ended since its host has gone. It is forced to if that has
    /// not happened in time.
    Ends {
        /// What its exit is to say.
        reason: ExitReason,
        /// The rest of its time.
        within_ms: u64,
    },
    /// It is gone with its whole tree: `Fact::Exited` follows when its output has been passed on.
    HasEnded {
        /// What its exit is to say, if it was asked to end.
        reason: Option<ExitReason>,
    },
}
