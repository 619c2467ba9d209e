//! The rules of single runs: what holds for one in place of the pool's [`Config`].

use crate::planted::{Bug, planted};
use crate::pool::Pool;
use crate::tenant::{Run, State};
use crate::warm::Warm;
use crate::{Config, RunId};

/// What holds for one run alone. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunRules {
    /// Stop it this long after its last touch; `Some(None)` never.
    pub idle_after_ms: Option<Option<u64>>,
    /// From asking it to end until it is forced to; 0 forces at once.
    pub stop_timeout_ms: Option<u64>,
    /// Its key is kept up (`warm.rs`).
    pub is_warm: bool,
}

impl Run {
    /// How long after its last touch the run is idle; `None` never, as it is if its tree is `warm`.
    pub fn idle_after_ms(&self, warm: Option<Warm>, config: &Config) -> Option<u64> {
        if warm.is_some() && !planted(Bug::WarmIsIdle) {
            return None;
        }
        let own = self.rules.as_ref().and_then(|rules| rules.idle_after_ms);
        own.filter(|_| !planted(Bug::OneIdleTimeForAll)).unwrap_or(config.idle_after_ms)
    }

    fn take_rules(&mut self, rules: RunRules, longest_stop_ms: u64) {
        let stop_timeout_ms = rules.stop_timeout_ms.map(|ms| ms.min(longest_stop_ms));
        self.rules = Some(Box::new(RunRules { stop_timeout_ms, ..rules }));
    }

    /// From asking the run to end until it is forced to.
    pub fn stop_timeout_ms(&self, config: &Config) -> u64 {
        let own = self.rules.as_ref().and_then(|rules| rules.stop_timeout_ms);
        own.filter(|_| !planted(Bug::OneStopTimeForAll)).unwrap_or(config.stop_timeout_ms)
    }
}

impl Pool {
    /// The rules of a run that was found.
    pub(crate) fn heed_rules(&mut self, run: &mut Run, rules: RunRules) {
        run.take_rules(rules, self.longest_stop_ms);
        self.looks.heed_idle_time(rules.idle_after_ms.flatten());
        self.warm.has_any |= rules.is_warm;
    }

    /// The rules of a run are known, before its process is.
    pub(crate) fn ruled(&mut self, id: RunId, rules: RunRules) {
        let Pool { tenants, runs, releases, looks, warm, longest_stop_ms, .. } = self;
        let tenant = releases.tree_mut(tenants, &runs[&id], id);
        let is_wanted = matches!(tenant.state, State::Starting(_));
        let Some(run) = tenant.state.run_mut().filter(|run| run.pid.is_none()) else { return };
        run.take_rules(rules, *longest_stop_ms);
        looks.heed_idle_time(rules.idle_after_ms.flatten());
        // What is stopped already says nothing about the next start.
        if is_wanted {
            tenant.warm = Warm::ruled(tenant.warm, rules.is_warm);
            warm.has_any |= rules.is_warm;
        }
    }

    /// The host is going away: no run has longer than this to end after it was asked.
    pub(crate) fn shorten_stops(&mut self, longest_ms: u64) {
        let Pool { tenants, runs, releases, config, .. } = self;
        self.longest_stop_ms = longest_ms;
        config.stop_timeout_ms = config.stop_timeout_ms.min(longest_ms);
        for (id, key) in runs {
            let run = releases.tree_mut(tenants, key, *id).state.run_mut();
            if let Some(rules) = run.and_then(|run| run.rules.as_mut()) {
                rules.stop_timeout_ms = rules.stop_timeout_ms.map(|ms| ms.min(longest_ms));
            }
        }
    }
}
