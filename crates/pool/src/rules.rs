//! The rules of single runs: what holds for one in place of the pool's [`Config`](crate::Config).

use crate::RunId;
use crate::pool::Pool;

/// What holds for one run alone. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunRules {
    /// Stop it this long after its last touch; `Some(None)` never.
    pub idle_after_ms: Option<Option<u64>>,
    /// From asking it to end until it is forced to; 0 forces at once.
    pub stop_timeout_ms: Option<u64>,
    /// Its key is kept up: `warm.rs` says how.
    pub is_warm: bool,
}

impl Pool {
    /// The rules of a run are known.
    pub(crate) fn ruled(&mut self, _id: RunId, _rules: RunRules) {}
}
