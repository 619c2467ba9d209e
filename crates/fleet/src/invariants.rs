//! What holds of the value's own books after every step. The simulation asserts it.

use crate::Fleet;
use crate::membership::Standing;

impl Fleet {
    /// Checks every invariant of the books; the error says which is broken and how.
    ///
    /// What concerns the outside (that no two hosts serve a key at once, that epochs only grow, that
    /// every wanted key is served again) is asserted by the simulation's world.
    pub fn check_invariants(&self, now_ms: u64) -> Result<(), String> {
        self.keys.check()?;
        let is_member = matches!(self.standing, Standing::Member(_));
        if !is_member && !self.keys.is_empty() {
            return Err("keys go on without a session".into());
        }
        if self.next_deadline().is_some_and(|at_ms| at_ms <= now_ms) {
            return Err(format!("a step is due at once, at {now_ms}: {:?}", self.deadlines()));
        }
        Ok(())
    }

    /// How many keys are neither settled here nor elsewhere: they come, go or are waited for.
    pub fn unsettled(&self) -> usize {
        self.keys.iter().count() - self.keys.counts().settled
    }
}
