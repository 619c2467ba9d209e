//! One host of the simulated fleet: its value, its clock, and what lives on it.

use super::world::Event;
use fleet::{CallId, Config, Fleet, Key, Terms};
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct Host {
    pub id: Arc<str>,
    /// Which process of this host it is.
    pub life: u64,
    /// None while no process runs.
    pub fleet: Option<Fleet>,
    pub clock: Clock,
    /// A process that is stopped runs on from then. What reaches it meanwhile waits.
    pub stopped_until: Option<u64>,
    pub backlog: Vec<Event>,
    /// On the host's own clock.
    pub serve_until: u64,
    pub tenants: BTreeMap<Key, Tenant>,
    pub calls: BTreeMap<CallId, super::visitors::Visit>,
    pub owed: Vec<CallId>,
    pub follower: Follower,
    pub wake: u64,
    /// How often everything here was to be stopped: the last one is answered.
    pub stops: u64,
    /// Nothing of this host reaches the store; nothing of the store reaches this host.
    pub is_deaf: [bool; 2],
    pub is_draining: bool,
    pub is_closing: bool,
    /// Whether it was always there in time in this life, so that what it has to end has ended.
    pub is_punctual: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    Broken,
    Listing,
    /// All changes up to this revision were told.
    Watching(u64),
}

/// What lives of a key, and whether its requests are answered.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub epoch: u64,
    pub state: State,
    /// Tells orders of this tenant from those of one before.
    pub number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Preparing,
    Admitted,
    /// Nobody new is let in; what is in flight goes on.
    Held,
    Quiet,
    /// What is in flight may go on until it has ended.
    Ending {
        is_served: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub offset: u64,
    /// Per thousand.
    pub rate: u64,
}

impl Clock {
    pub fn at(self, true_ms: u64) -> u64 {
        self.offset + true_ms * self.rate / 1000
    }

    /// The first moment at which the clock says so.
    pub fn when(self, local_ms: u64) -> u64 {
        (local_ms.saturating_sub(self.offset) * 1000).div_ceil(self.rate)
    }
}

impl Host {
    pub fn serves(&self, key: &str, true_ms: u64) -> Option<u64> {
        self.fleet.as_ref()?;
        let tenant = self.tenants.get(key)?;
        let is_served = match tenant.state {
            State::Admitted | State::Held => true,
            State::Ending { is_served } => is_served,
            State::Preparing | State::Quiet => false,
        };
        (is_served && self.clock.at(true_ms) < self.serve_until).then_some(tenant.epoch)
    }

    pub fn is_up(&self) -> bool {
        self.fleet.is_some() && self.stopped_until.is_none()
    }

    /// A new process, of which the store knows nothing.
    pub fn start(&mut self, terms: Terms) {
        self.life += 1;
        self.fleet = Some(Fleet::new(Config {
            id: self.id.clone(),
            address: format!("http://{}", self.id).into(),
            zone: None,
            weight: 1.0,
            run: format!("{}-{}", self.id, self.life).into(),
            terms,
            keep_ms: 6_000,
            reserve_ms: 5_000,
            moves_at_once: 2,
            rebalance_every_ms: 1_000,
        }));
        self.stopped_until = None;
        self.backlog.clear();
        self.follower = Follower::Broken;
        self.is_draining = false;
        self.is_closing = false;
        self.is_punctual = true;
        self.serve_until = 0;
        self.owed.clear();
    }

    /// The process is killed, and its tenants with it.
    pub fn kill(&mut self) -> Vec<super::visitors::Visit> {
        self.fleet = None;
        self.stopped_until = None;
        self.tenants.clear();
        self.owed.clear();
        self.serve_until = 0;
        let arrived = std::mem::take(&mut self.backlog).into_iter();
        let arrived = arrived.filter_map(|event| match event {
            Event::Arrives(visit) => Some(*visit),
            _ => None,
        });
        arrived.chain(std::mem::take(&mut self.calls).into_values()).collect()
    }
}
