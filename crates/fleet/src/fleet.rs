//! The value itself.

use crate::{Action, HostView, Input, Terms};
use std::sync::Arc;

/// What a host brings along.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each field says what it is")]
pub struct Config {
    /// Its name in the fleet, which no two live hosts may have.
    pub id: Arc<str>,
    /// Where its peer listener is reached.
    pub address: Arc<str>,
    pub zone: Option<Arc<str>>,
    /// How many tenants it is to have, in proportion to others.
    pub weight: f64,
    /// Chance that no other process of this id has had: by it a host recognises its own record.
    pub run: Arc<str>,
    pub terms: Terms,
    /// The claim of a key whose tenant does not run is given up after so long.
    pub keep_ms: u64,
    /// So many keys pass to other hosts at once while this one drains.
    pub moves_at_once: usize,
    /// While this host has more than its share, one key leaves it so often.
    pub rebalance_every_ms: u64,
}

/// One host's part of the fleet.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
}

impl Fleet {
    /// A host that has not heard of its store yet, and begins with `Input::Listed`.
    pub fn new(config: Config) -> Fleet {
        Fleet { config }
    }

    /// Takes one step: `input` happened at `now_ms`. The actions are to be carried out in order.
    pub fn handle(&mut self, _now_ms: u64, _input: Input) -> Vec<Action> {
        Vec::new()
    }

    /// When the next `Input::Tick` is due. May change with every step.
    pub fn next_deadline(&self) -> Option<u64> {
        None
    }

    /// The hosts that are known, this one included once it has joined, by their ids.
    pub fn hosts(&self) -> Vec<HostView> {
        _ = &self.config;
        Vec::new()
    }
}
