//! The gate: how many starts run at once, so that a storm of cold starts does not make every tenant
//! wait for the slowest one.
//!
//! A key that has room waits in the queue, first come first served. The queue is drained by a
//! permit that comes back: a start becomes ready, fails, is called off, or takes longer than the
//! gate's patience; and by a kill, `dispose` or the abort of its last caller (the key stops
//! waiting). All of these are steps of the pool, and every step ends in `Pool::admit`. An adoption
//! never comes here: what runs already needs no processor to start.

use crate::Key;
use crate::queue::Queue;
use crate::tenant::Run;

/// How many starts run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateConfig {
    /// Starts at once, from spawn to ready; `None` no gate.
    pub width: Option<usize>,
    /// A start that takes longer than this no longer counts: it waits for something other than a
    /// processor, and must not hold the others up. `None`: it counts until it is ready or over.
    pub patience_ms: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Gate {
    config: GateConfig,
    starting: usize,
    queue: Queue,
}

impl Gate {
    pub fn new(config: GateConfig) -> Self {
        Gate { config, starting: 0, queue: Queue::default() }
    }

    pub fn enqueue(&mut self, ticket: u64, key: Key) {
        self.queue.enqueue(ticket, key);
    }

    pub fn cancel(&mut self, ticket: u64) {
        self.queue.cancel(ticket);
    }

    /// Takes a permit for the key that has waited longest, if there is one and the gate is open.
    pub fn admit(&mut self) -> Option<Key> {
        if self.config.width.is_some_and(|width| self.starting >= width) {
            return None;
        }
        let key = self.queue.pop_first()?;
        self.starting += 1;
        Some(key)
    }

    /// Gives the run's permit back, if it still has it.
    pub fn leave(&mut self, run: &mut Run) {
        if std::mem::take(&mut run.holds_gate) {
            self.starting -= 1;
        }
    }

    pub fn patience_ms(&self) -> Option<u64> {
        self.config.width.and(self.config.patience_ms)
    }

    pub fn starting(&self) -> usize {
        self.starting
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}
