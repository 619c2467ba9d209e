//! The touch clocks as callers share them, with callers that race the pool. Panics when the
//! protocol is broken.

use pool::{Leases, RunId, Touch};
use std::collections::BTreeMap;
use stories::Rng;

pub struct SharedLeases {
    leases: BTreeMap<RunId, Lease>,
    sequence: u64,
    rng: Rng,
    races_percent: u64,
    /// The moment of this step; a racing caller reads the same clock.
    pub wall_ms: u64,
    /// Runs whose callers came too late, saw the claim, and now go through the pool.
    pub turned_back: Vec<RunId>,
    /// Runs that were taken into use in the moment before a claim: each of these uses is still to
    /// end.
    pub taken_at_claim: Vec<RunId>,
    /// What is opened is in use by the host before.
    pub used_when_opened: bool,
}

#[derive(Clone, Copy)]
struct Lease {
    open: bool,
    touch: Touch,
    /// The last touch as the claim saw it.
    at_claim: Touch,
    uses: u32,
}

impl SharedLeases {
    pub fn new(rng: Rng, races_percent: u64) -> Self {
        SharedLeases {
            leases: BTreeMap::new(),
            sequence: 0,
            rng,
            races_percent,
            wall_ms: 0,
            turned_back: Vec::new(),
            taken_at_claim: Vec::new(),
            used_when_opened: false,
        }
    }

    /// A caller that does not ask the pool: touches, then looks. True: it has the tenant.
    pub fn touch_as_caller(&mut self, run: RunId) -> bool {
        self.move_clock(run, self.wall_ms);
        self.is_open(run)
    }

    /// A caller that does not ask the pool and is done with the tenant only later: counts itself,
    /// then looks. True: it has the tenant, and [`end_use`](Self::end_use) is to follow.
    pub fn begin_use(&mut self, run: RunId) -> bool {
        let open = self.is_open(run);
        self.lease(run).uses += u32::from(open);
        open
    }

    /// The end of a use is a touch.
    pub fn end_use(&mut self, run: RunId) {
        self.move_clock(run, self.wall_ms);
        self.lease(run).uses -= 1;
    }

    pub fn is_open(&self, run: RunId) -> bool {
        self.leases.get(&run).is_some_and(|lease| lease.open)
    }

    pub fn at_claim(&self, run: RunId) -> Touch {
        self.leases[&run].at_claim
    }

    fn move_clock(&mut self, run: RunId, wall_ms: u64) {
        self.sequence += 1;
        let touch = Touch { at_ms: wall_ms, sequence: self.sequence };
        let lease = self.lease(run);
        lease.touch = lease.touch.max(touch);
    }

    fn lease(&mut self, run: RunId) -> &mut Lease {
        self.leases.get_mut(&run).unwrap_or_else(|| panic!("{run:?} has no lease"))
    }
}

impl Leases for SharedLeases {
    fn open(&mut self, run: RunId, wall_ms: u64) {
        let touch = Touch { at_ms: wall_ms, sequence: 0 };
        let uses = u32::from(self.used_when_opened);
        let before = self.leases.insert(run, Lease { open: true, touch, at_claim: touch, uses });
        assert!(before.is_none(), "the lease of {run:?} is opened twice");
    }

    fn touched(&self, run: RunId) -> Touch {
        self.leases[&run].touch
    }

    fn is_in_use(&self, run: RunId) -> bool {
        self.leases[&run].uses > 0
    }

    fn touch(&mut self, run: RunId, wall_ms: u64) {
        self.move_clock(run, wall_ms);
    }

    fn claim(&mut self, run: RunId) -> Touch {
        if self.lease(run).open {
            if self.rng.chance(self.races_percent) {
                self.move_clock(run, self.wall_ms);
            }
            if self.rng.chance(self.races_percent / 2) && self.begin_use(run) {
                self.taken_at_claim.push(run);
            }
            let lease = self.lease(run);
            lease.open = false;
            lease.at_claim = lease.touch;
            if self.rng.chance(self.races_percent / 4) {
                self.turned_back.push(run);
            }
        }
        self.lease(run).at_claim
    }

    fn reopen(&mut self, run: RunId) {
        let lease = self.lease(run);
        assert!(!lease.open, "the lease of {run:?} is reopened without a claim");
        lease.open = true;
    }
}
