//! Tenants that sleep: their trees are frozen and woken as the pool says. A runtime without `sleep`
//! has none of this.
//!
//! | what | is in |
//! |---|---|
//! | orders to sleep and to wake, and their answers | this file |
//! | whether a tree that was woken answers | `answering.rs` |
//! | what a tenant does by itself: connections, UDP, CPU | `activity.rs`, `cpu_marks.rs` |
//! | visitors who come around the gateway | `knocks.rs` |
//! | connections to tenants that gateways keep | `kept_connections.rs` |
//! | what sleepers use, which is read once | `usages.rs` |
//!
//! **Answers.** The pool gets one answer for each order, in the order of the orders. An order to sleep
//! that has no answer when the run is awake, or its wake is late, is told as failed before that. An
//! order may overtake another on its way, or be an earlier host's: a tree that stands and was not
//! to is woken. That a tree runs without an order is told unless one to wake was given meanwhile.

mod activity;
mod answering;
mod cpu_marks;
mod kept_connections;
mod knocks;
pub(crate) mod usages;

use self::cpu_marks::CpuMarks;
use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use linux::process::accounting::Usage;
use linux::warden_link::client::Rest;
use pool::{Depth, Fact, Input, RunId, RunMap};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::task::AbortHandle;

/// What a runtime with `sleep` holds. Behind the driver's lock.
#[derive(Default)]
pub(crate) struct Sleeping {
    /// Orders without an answer, the oldest first.
    orders: RunMap<VecDeque<Order>>,
    /// When runs were told to wake last, of which nobody was told yet.
    roused_us: RunMap<u64>,
    /// Counts orders to wake, so that one that is late is not taken for a later one.
    last_wake: u64,
    /// Runs that were told to rest and not to wake since.
    resting: RunMap<Resting>,
    last_rest: u64,
    /// The same the other way round, for visitors. A run without a port has none.
    run_at: HashMap<u16, RunId>,
    /// Ports besides its own at which a run listened when it was looked at last.
    beside: RunMap<Vec<u16>>,
    /// The task that looks for visitors.
    watch: Option<AbortHandle>,
    /// Runs whose activity is to be looked at; `None` while no task looks.
    to_look_at: Option<Vec<RunId>>,
    /// What runs that are awake had used at some moments.
    cpu_marks: RunMap<CpuMarks>,
    /// Have gateways drop the connections that they keep to a run.
    droppers: Vec<kept_connections::Dropper>,
}

/// A run that rests, or is about to.
struct Resting {
    /// Where visitors come to it.
    ports: Vec<u16>,
    since_ms: u64,
    /// Which of all rests it is: counted anew when its tree stands.
    rest: u64,
    /// What it uses, once that was read while its tree stood.
    usage: Option<Usage>,
}

/// An order that the keeper has not answered.
enum Order {
    Rest,
    Rouse {
        /// Which of all orders to wake it is.
        wake: u64,
        /// It is to be seen whether it answers.
        is_to_answer: bool,
    },
}

impl Sleeping {
    fn rests(&mut self, run: RunId, port: u16, now_ms: u64) {
        self.last_rest += 1;
        let since_ms = self.resting.get(&run).map_or(now_ms, |resting| resting.since_ms);
        let beside = self.beside.get(&run).into_iter().flatten();
        let ports: Vec<u16> = beside.copied().chain((port != 0).then_some(port)).collect();
        self.run_at.extend(ports.iter().map(|port| (*port, run)));
        let resting = Resting { ports, since_ms, rest: self.last_rest, usage: None };
        self.resting.insert(run, resting);
    }

    fn listens_beside(&mut self, run: RunId, ports: Vec<u16>) {
        match ports.is_empty() {
            true => self.beside.remove(&run),
            false => self.beside.insert(run, ports),
        };
    }

    /// The tree stands, as deep as it was told: what was read of it before is old.
    fn stands(&mut self, run: RunId) {
        if let Some(resting) = self.resting.get_mut(&run) {
            self.last_rest += 1;
            (resting.rest, resting.usage) = (self.last_rest, None);
        }
    }

    fn is_up(&mut self, run: RunId, now_ms: u64) {
        if let Some(resting) = self.resting.remove(&run) {
            for port in resting.ports {
                // Another one may listen there at another address.
                if self.run_at.get(&port) == Some(&run) {
                    self.run_at.remove(&port);
                }
            }
            if let Some(marks) = self.cpu_marks.get_mut(&run) {
                marks.has_slept(now_ms.saturating_sub(resting.since_ms));
            }
        }
    }

    /// Lets go of what is held for a run that is over.
    pub fn forget(&mut self, run: RunId) {
        self.is_up(run, 0);
        self.orders.remove(&run);
        self.roused_us.remove(&run);
        self.cpu_marks.remove(&run);
        self.beside.remove(&run);
    }

    /// Takes the oldest order out, if it is one to sleep.
    fn take_rest(&mut self, run: RunId) -> bool {
        let Some(orders) = self.orders.get_mut(&run) else { return false };
        let is_rest = matches!(orders.front(), Some(Order::Rest));
        if is_rest {
            orders.pop_front();
        }
        is_rest
    }

    /// Takes the oldest order to wake out, and all orders to sleep before it. Returns how many those
    /// were, and whether it is to be seen that the run answers; `None` if it was not to be woken.
    fn take_rouse(&mut self, run: RunId) -> Option<(usize, bool)> {
        let orders = self.orders.get_mut(&run)?;
        let place = orders.iter().position(|order| matches!(order, Order::Rouse { .. }))?;
        match orders.drain(..=place).next_back() {
            Some(Order::Rouse { is_to_answer, .. }) => Some((place, is_to_answer)),
            _ => None,
        }
    }

    fn is_ordered(&self, run: RunId) -> bool {
        self.orders.get(&run).is_some_and(|orders| !orders.is_empty())
    }

    fn awaits_rouse(&self, run: RunId, wake: u64) -> bool {
        let mut orders = self.orders.get(&run).into_iter().flatten();
        orders.any(|order| matches!(order, Order::Rouse { wake: of, .. } if *of == wake))
    }
}

impl<M: Machine> Core<M> {
    /// How long the run, which is awake, has taken for that since it was told to; in microseconds.
    pub(crate) fn wake_took_us(&mut self, run: RunId, now_us: u64) -> u64 {
        let sleeping = self.sleeping.as_mut();
        let roused_us = sleeping.and_then(|sleeping| sleeping.roused_us.remove(&run));
        roused_us.map_or(0, |roused_us| now_us.saturating_sub(roused_us))
    }

    /// Whether the run was told to rest, and not to wake since.
    pub(crate) fn is_resting(&self, run: RunId) -> bool {
        self.sleeping.as_ref().is_some_and(|sleeping| sleeping.resting.contains_key(&run))
    }
}

impl<M: Machine> Driver<M> {
    pub fn tenants_sleep(&self) -> bool {
        self.settings.pool.sleep.is_some()
    }

    /// Carries out `Action::Rest`.
    pub(crate) fn rest(&self, core: &mut Core<M>, run: RunId, depth: Depth) -> Option<Input> {
        let (handle, engine) = (core.runs.get(&run)?, core.engine.engine()?);
        let (Some(number), Some(sleeping)) = (handle.number, &mut core.sleeping) else {
            return Some(Input::Fact(run, Fact::RestFailed));
        };
        sleeping.drop_kept_connections(&[run]);
        sleeping.rests(run, handle.port, self.machine.steady_ms());
        sleeping.orders.entry(run).or_default().push_back(Order::Rest);
        engine.rest(number, depth_of(depth));
        None
    }

    /// Carries out `Action::Rouse`.
    pub(crate) fn rouse(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
        is_to_answer: bool,
    ) -> Option<Input> {
        let (handle, engine) = (core.runs.get(&run)?, core.engine.engine()?.clone());
        let (Some(number), Some(sleeping)) = (handle.number, &mut core.sleeping) else {
            return Some(Input::Fact(run, Fact::RouseFailed));
        };
        engine.rouse(number);
        sleeping.is_up(run, self.machine.steady_ms());
        sleeping.roused_us.insert(run, self.machine.precise_us());
        sleeping.last_wake += 1;
        let wake = sleeping.last_wake;
        let order = Order::Rouse { wake, is_to_answer };
        sleeping.orders.entry(run).or_default().push_back(order);
        self.time_wake(&engine, run, wake);
        None
    }

    /// The keeper has answered an order.
    pub fn rested(self: &Arc<Self>, run: RunId, rest: Rest) {
        let mut core = self.lock();
        let is_due = match (rest, &mut core.sleeping) {
            (Rest::Slept { .. } | Rest::Failed { .. }, Some(sleeping)) => sleeping.take_rest(run),
            _ => false,
        };
        match (rest, &mut core.sleeping) {
            (Rest::Slept { depth, rss_bytes }, Some(sleeping)) if is_due => {
                let depth = match depth {
                    warden::Depth::Frozen => Depth::Frozen,
                    warden::Depth::PagedOut => Depth::PagedOut,
                };
                sleeping.stands(run);
                self.feed_locked(&mut core, Input::Fact(run, Fact::Rested { depth, rss_bytes }));
            }
            (Rest::Failed { errno }, Some(sleeping)) if is_due => {
                // Where another order follows, it was overtaken by that, or does not matter any more.
                if !sleeping.is_ordered(run) {
                    tracing::warn!(?run, errno, "a tenant cannot be frozen");
                    sleeping.is_up(run, self.machine.steady_ms());
                }
                self.feed_locked(&mut core, Input::Fact(run, Fact::RestFailed));
            }
            (Rest::Awake, _) => self.is_awake(&mut core, run, Fact::Roused),
            // If it was told to run since, that is no wonder.
            (Rest::Stirred, Some(sleeping)) if sleeping.resting.contains_key(&run) => {
                tracing::debug!(?run, "a sleeper runs without an order");
                sleeping.is_up(run, self.machine.steady_ms());
                self.feed_locked(&mut core, Input::Fact(run, Fact::Stirred));
            }
            (Rest::Stirred, _) => return,
            // To the pool it is awake.
            (Rest::Slept { .. }, _) => {
                let number = core.runs.get(&run).and_then(|handle| handle.number);
                if let Some((engine, number)) = core.engine.engine().zip(number) {
                    engine.rouse(number);
                }
                return;
            }
            // It was told as failed when the run was woken.
            (Rest::Failed { .. }, _) => return,
        }
        drop(core);
        self.uplink.ring();
    }

    /// An order to wake the run has come to this end.
    fn is_awake(self: &Arc<Self>, core: &mut Core<M>, run: RunId, end: Fact) {
        let taken = core.sleeping.as_mut().and_then(|sleeping| sleeping.take_rouse(run));
        let Some((overtaken, is_to_answer)) = taken else { return };
        let is_roused = matches!(end, Fact::Roused);
        for _ in 0..overtaken {
            self.feed_locked(core, Input::Fact(run, Fact::RestFailed));
        }
        self.feed_locked(core, Input::Fact(run, end));
        if is_roused && is_to_answer {
            self.see_that_it_answers(core, run);
        }
    }
}

fn depth_of(depth: Depth) -> warden::Depth {
    match depth {
        Depth::Frozen => warden::Depth::Frozen,
        Depth::PagedOut => warden::Depth::PagedOut,
    }
}
