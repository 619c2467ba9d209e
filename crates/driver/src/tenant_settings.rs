//! What JavaScript says of one start, where a function of the user's tells its tenant from the
//! others.

use crate::Driver;
use crate::confinement::Asked;
use crate::machine::Machine;
use crate::run_handle::RunHandle;
use pool::{Fact, Input, RunId, RunRules};
use std::sync::Arc;
use std::time::Duration;

/// What a readiness request asks for by default.
pub(crate) const READINESS_PATH: &str = "/";

/// The settings of one start, complete; `None`: as for all tenants of the runtime.
#[derive(Default)]
pub struct TenantSettings {
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    pub readiness_timeout: Option<Duration>,
    pub readiness_path: Option<String>,
    /// The variables are the host's own, by default, and not what the user has said.
    pub has_default_env: bool,
    /// What its tenant is held within, in place of what holds for all.
    pub asked: Asked,
    /// What the pool is told of it.
    pub rules: RunRules,
}

impl<M: Machine> Driver<M> {
    /// Takes in what JavaScript says of a run that it prepares. Returns whether the run is still
    /// wanted: of one that was called off meanwhile, the user's `spawn` is not called.
    pub fn rule(self: &Arc<Self>, run: RunId, settings: TenantSettings) -> bool {
        let mut core = self.lock();
        if !core.asked.remove(&run) {
            return false;
        }
        let rules = settings.rules;
        if let Some(handle) = core.runs.get_mut(&run) {
            handle.settings = Some(Arc::new(settings));
        }
        self.feed_locked(&mut core, Input::Fact(run, Fact::Ruled(rules)));
        true
    }

    /// How long the start waits for its port to answer.
    pub(crate) fn readiness_timeout(&self, handle: &RunHandle<M::Port>) -> Duration {
        let its = handle.settings.as_ref().and_then(|its| its.readiness_timeout);
        its.unwrap_or(self.settings.readiness_timeout)
    }
}

impl<P> RunHandle<P> {
    /// The path that the readiness request asks for.
    pub(crate) fn readiness_path(&self) -> &str {
        let its = self.settings.as_ref().and_then(|its| its.readiness_path.as_deref());
        its.unwrap_or(READINESS_PATH)
    }
}
