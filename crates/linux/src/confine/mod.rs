//! What a tenant can be held within on this host: limits and walls.
//!
//! [`Support`] is what this host can keep. [`Support::check`] compares it with what is asked for,
//! and changes nothing. [`Support::take`] does so for a start, and takes the place for control groups
//! if a limit needs one, which may move this process into a group of its own (`place.rs`).
//! [`Support::confinement`] then makes the parts of the launch. The warden gives the place back, or
//! [`give_back_place`] where there was none.
//!
//! | module | is |
//! |---|---|
//! | [`asked`] | what can be asked for |
//! | `limits` | which controller, file or resource keeps a limit |
//! | `place` | where this host may make control groups |
//! | `predecessors`, `leftovers` | ends and removes what hosts have left that are gone |
//! | [`Traces`] | the same for a warden that this host has lost |
//! | `walls` | what the kernel has for walls, and which promises it keeps |
//! | `neighbours` | whether what is asked for would let tenants reach each other |
//! | [`answer`] | what is in force, and why something is not |

pub mod answer;
pub mod asked;
#[allow(unsafe_code, reason = "the version of Landlock is asked by a bare system call")]
mod kernel;
mod leftovers;
mod limits;
mod neighbours;
mod place;
mod predecessors;
mod support;
mod system_paths;
mod traces;
mod tree;
mod walls;

pub use answer::{By, InForce, InForceIsolation, InForceLimit, Reason, Unsupported};
pub use asked::{Asked, Isolation, Limits};
pub(crate) use predecessors::note_staying;
pub use support::{Foreseen, Parts, StartFacts, Support, give_back_place, support};
pub use traces::Traces;
pub use warden::confinement::User;

use warden::HostId;
use warden::host_id::own_pid_namespace;

/// This process: names that are made of it never come to mean another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Me {
    pub uid: u32,
    pub id: HostId,
}

impl Me {
    /// Without `/proc` the start is 0, and nothing is started anyway.
    pub fn here() -> Me {
        let pid = std::process::id();
        let started_at_ticks = warden::Stat::of(pid).map_or(0, |stat| stat.started_at_ticks);
        let id = HostId { pid, started_at_ticks, pid_namespace: own_pid_namespace() };
        Me { uid: rustix::process::geteuid().as_raw(), id }
    }
}
