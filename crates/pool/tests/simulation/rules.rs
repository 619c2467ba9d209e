//! What one story is like: the pool's configuration, and how much goes wrong.

use pool::{Backoff, Config, Custody, GateConfig, Outgoing, Sleep};
use stories::Rng;

#[derive(Debug)]
pub struct Rules {
    pub config: Config,
    pub keys: usize,
    /// Calls and touches that come before the story is wound up.
    pub calls: u64,
    pub horizon_ms: u64,
    /// Of the calls, in percent.
    pub adoptions: u64,
    /// Of the calls, in percent.
    pub deploys: u64,
    /// Of the calls, in percent: keys that are to be kept up.
    pub warmings: u64,
    /// How long the uses of a tenant that is to end may go on.
    pub drain_ms: u64,
    /// How often the host is lost, or leaves, and another takes over what it has left.
    pub losses: u64,
    /// The first time, after so many steps.
    pub lost_at_step: Option<u64>,
    /// How late a tick may be.
    pub lag_ms: u64,
    /// Of the calls, in percent: visitors of sleepers.
    pub knocks: u64,
    /// The host is short of memory now and then.
    pub has_pressure: bool,
    pub faults: Faults,
}

/// In percent of the occasions. What only a user's process can do, only those do.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// A start has rules of its own.
    pub ruled: u64,
    /// They say that it is warm.
    pub warm: u64,
    pub start_fails: u64,
    pub start_hangs: u64,
    pub not_ready: u64,
    pub probe_hangs: u64,
    /// An earlier host has left an image of it.
    pub earlier_images: u64,
    /// The snapshot driver fails, or has lost what it had.
    pub images_fail: u64,
    /// The process ends by itself within moments.
    pub dies: u64,
    pub ask_ignored: u64,
    pub stop_refused: u64,
    pub stop_hangs: u64,
    /// The user's `kill` never settles.
    pub kill_hangs: u64,
    /// The stop works, but long after it was given up.
    pub stop_late: u64,
    /// Questions about idle tenants, looks and saves that are not answered.
    pub question_hangs: u64,
    /// `shouldIdleKill` says that it is not idle.
    pub kept: u64,
    /// It has an open connection.
    pub connected: u64,
    /// Which runs have open connections cannot be seen.
    pub unseen: u64,
    pub not_saved: u64,
    /// What is saved ends by itself.
    pub ends_with_the_save: u64,
    /// The caller goes away.
    pub aborts: u64,
    pub duplicates: u64,
    /// A caller touches just before, or just after, the pool claims.
    pub races: u64,
    /// A tree cannot be frozen.
    pub rest_fails: u64,
    /// A sleeper does not wake.
    pub rouse_fails: u64,
    /// A sleeper is continued by something else than an order.
    pub stirs: u64,
    /// A tenant does something by itself.
    pub active: u64,
}

impl Rules {
    pub fn draw(rng: &mut Rng) -> Self {
        let custody = rng.pick(&[Custody::OURS, Custody::USERS]);
        let idle_after_ms = if rng.chance(60) { Some(rng.between(10, 80)) } else { None };
        let observe_interval_ms = if rng.chance(30) { Some(rng.between(10, 60)) } else { None };
        let width = rng.pick(&[None, None, Some(1), Some(2)]);
        let patience_ms = if rng.chance(50) { Some(rng.between(1, 40)) } else { None };
        let base_ms = rng.between(1, 60);
        let grace_ms = rng.between(1, 40);
        let backoff = Backoff {
            base_ms,
            max_ms: rng.between(base_ms, 150),
            max_failures: rng.between(1, 5),
            min_uptime_ms: if rng.chance(40) { rng.between(1, 60) } else { 0 },
        };
        let config = Config {
            max_concurrent: rng.between(1, 6) as usize,
            idle_after_ms,
            sweep_interval_ms: rng.between(5, 40),
            observe_interval_ms,
            tells_observations: rng.chance(70),
            stop_timeout_ms: rng.pick(&[0, 0, grace_ms, grace_ms, grace_ms, grace_ms, 2_000]),
            kill_patience_ms: rng.between(1, 100),
            backoff,
            gate: GateConfig { width, patience_ms },
            custody,
            asks_before_idle: rng.chance(25),
            heeds_connections: rng.chance(20),
            checkpoint_timeout_ms: if rng.chance(30) { Some(rng.between(1, 60)) } else { None },
            sleep: None,
            evicts_by_cost: false,
        };
        let saves = config.checkpoint_timeout_ms.is_some();
        Rules {
            config,
            losses: 0,
            lost_at_step: None,
            keys: rng.between(1, 7) as usize,
            calls: rng.between(2, 24),
            horizon_ms: rng.pick(&[40, 150, 400]),
            drain_ms: rng.pick(&[0, 0, 5, 40, 200]),
            lag_ms: rng.pick(&[0, 0, 3]),
            adoptions: rng.pick(&[0, 0, 10, 30]),
            deploys: rng.pick(&[0, 10, 30, 60]),
            warmings: rng.pick(&[0, 0, 10, 30]),
            knocks: 0,
            has_pressure: false,
            faults: Faults::draw(rng, saves),
        }
    }
}

impl Rules {
    /// The same, but unused tenants sleep in some stories. Only processes of ours do.
    pub fn with_sleep(mut self, rng: &mut Rng) -> Self {
        self.config.evicts_by_cost = rng.chance(10);
        self.has_pressure = rng.chance(10);
        if !rng.chance(40) {
            return self;
        }
        (self.config.custody, self.config.checkpoint_timeout_ms) = (Custody::OURS, None);
        self.faults.earlier_images = 0;
        let after_ms = rng.between(5, 60);
        let page_out_after_ms = if rng.chance(50) { Some(rng.between(5, 120)) } else { None };
        self.config.sleep = Some(Sleep {
            after_ms,
            page_out_after_ms,
            max_asleep: rng.between(1, 6) as usize,
            min_awake_ms: rng.pick(&[0, 1, 10, 40]),
            outgoing: rng.pick(&[Outgoing::Stay, Outgoing::Breathe, Outgoing::Sleep]),
            asks: rng.chance(30),
        });
        (self.knocks, self.has_pressure) = (rng.pick(&[0, 10, 40]), rng.chance(25));
        self.faults.rest_fails = rng.pick(&[0, 0, 10, 40]);
        self.faults.rouse_fails = rng.pick(&[0, 0, 10, 40]);
        self.faults.active = rng.pick(&[0, 0, 20, 60]);
        self.faults.stirs = rng.pick(&[0, 0, 30, 90]);
        self
    }

    /// The same, but the host is lost now and then. What it has left can only be found of processes
    /// of ours.
    pub fn with_losses(mut self, losses: u64, lost_at_step: Option<u64>) -> Self {
        (self.losses, self.lost_at_step) = (losses, lost_at_step);
        if losses > 0 {
            (self.config.custody, self.config.checkpoint_timeout_ms) = (Custody::OURS, None);
            (self.adoptions, self.faults.earlier_images) = (0, 0);
        }
        self
    }
}

impl Faults {
    /// Some stories are calm, so that what only calm shows is shown too.
    fn draw(rng: &mut Rng, saves: bool) -> Self {
        let mut percent = |choices: &[u64]| rng.pick(choices);
        Faults {
            ruled: percent(&[0, 0, 30, 100]),
            warm: percent(&[0, 50, 100]),
            start_fails: percent(&[0, 10, 40]),
            start_hangs: percent(&[0, 0, 20]),
            not_ready: percent(&[0, 10, 40]),
            probe_hangs: percent(&[0, 0, 15]),
            earlier_images: if saves { percent(&[0, 30, 80]) } else { 0 },
            images_fail: percent(&[0, 0, 20, 60]),
            dies: percent(&[0, 15, 50]),
            ask_ignored: percent(&[0, 30]),
            stop_refused: percent(&[0, 15, 60]),
            stop_hangs: percent(&[0, 15, 30]),
            kill_hangs: percent(&[0, 0, 30, 80]),
            stop_late: percent(&[0, 10]),
            question_hangs: percent(&[0, 0, 15]),
            kept: percent(&[0, 30, 70]),
            connected: percent(&[0, 20, 60]),
            unseen: percent(&[0, 0, 20]),
            not_saved: percent(&[0, 20, 60]),
            ends_with_the_save: percent(&[0, 40, 100]),
            aborts: percent(&[0, 0, 15, 40]),
            duplicates: percent(&[0, 10]),
            races: percent(&[0, 10, 40]),
            rest_fails: 0,
            rouse_fails: 0,
            stirs: 0,
            active: 0,
        }
    }
}
