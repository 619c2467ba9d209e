//! What tenants do by themselves, that may keep them awake. All that are asked about while one look
//! goes on are looked at together by the next: the kernel lists all sockets at once.

use super::cpu_marks::{CpuMark, Known, shortest_span_ms};
use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Looked, Machine};
use linux::process::accounting::Root;
use linux::threads::clock::Sleep;
use pool::{Fact, Input, RunId};
use std::sync::Arc;

impl<M: Machine> Driver<M> {
    /// Carries out `Action::LookAtActivity`.
    pub(crate) fn look_at_activity(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
    ) -> Option<Input> {
        let unseen = Some(Input::Fact(run, unseen()));
        let (Some(engine), Some(sleeping)) = (core.engine.engine().cloned(), &mut core.sleeping)
        else {
            return unseen;
        };
        if let Some(to_look_at) = &mut sleeping.to_look_at {
            to_look_at.push(run);
            return None;
        }
        sleeping.to_look_at = Some(vec![run]);
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            while let Some(asked) = driver.take_trees_to_look_at() {
                let (runs, trees): (Vec<RunId>, Vec<Option<Root>>) = asked.into_iter().unzip();
                let known = trees.iter().copied().flatten().collect();
                let looked = shared.look_at(known).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "what tenants do by themselves cannot be seen");
                    Vec::new()
                });
                let mut looked = looked.into_iter();
                for (run, tree) in runs.into_iter().zip(trees) {
                    let looked = tree.and_then(|_| looked.next());
                    driver.tell_activity(&shared, run, looked);
                }
                driver.uplink.ring();
            }
        });
        None
    }

    /// The trees that are to be looked at; `None` if there are none, and the task ends.
    fn take_trees_to_look_at(&self) -> Option<Vec<(RunId, Option<Root>)>> {
        let mut core = self.lock();
        let sleeping = core.sleeping.as_mut()?;
        let runs = sleeping.to_look_at.take().filter(|runs| !runs.is_empty())?;
        sleeping.to_look_at = Some(Vec::new());
        let root = |run: &RunId| core.runs.get(run).and_then(|handle| handle.root);
        Some(runs.into_iter().map(|run| (run, root(&run))).collect())
    }

    /// Answers the pool; or looks once more, if it is not known for long enough what the run uses.
    fn tell_activity(self: &Arc<Self>, engine: &M::Engine, run: RunId, looked: Option<Looked>) {
        let mut core = self.lock();
        let Some(Looked { activity: Some(activity), cpu_ms: Some(cpu_ms) }) = looked else {
            return self.feed_locked(&mut core, Input::Fact(run, unseen()));
        };
        let Some((sleep, touched_at_ms)) =
            self.settings.pool.sleep.zip(core.leases.lease(run).map(|lease| lease.touched_at_ms()))
        else {
            return;
        };
        let now =
            CpuMark { at_ms: self.machine.steady_ms(), wall_ms: self.machine.wall_ms(), cpu_ms };
        let port = core.runs.get(&run).map_or(0, |handle| handle.port);
        let Some(sleeping) = &mut core.sleeping else { return };
        let beside = |ports: Vec<u16>| ports.into_iter().filter(move |other| *other != port);
        let is_visited = beside(activity.visited).next().is_some();
        sleeping.listens_beside(run, beside(activity.ports).collect());
        let marks = sleeping.cpu_marks.entry(run).or_default();
        let shortest_ms = shortest_span_ms(sleep.after_ms);
        let is_busy = match marks.is_busy(touched_at_ms, now, shortest_ms) {
            Known::Since { is_busy } => is_busy,
            // It was used since it was first looked, which the pool sees.
            Known::In { ms: _ } if marks.was_used_since_look(touched_at_ms) => false,
            Known::In { ms } => return self.look_again_at(engine, run, now.at_ms + ms),
        };
        let fact = Fact::Activity {
            outgoing: activity.outgoing,
            serves_beside: activity.listens_on_udp || is_visited,
            is_busy,
            seen: true,
        };
        self.feed_locked(&mut core, Input::Fact(run, fact));
    }

    fn look_again_at(self: &Arc<Self>, engine: &M::Engine, run: RunId, at_ms: u64) {
        let driver = self.clone();
        engine.spawn(async move {
            while !driver.machine.sleep_until(at_ms, Sleep::Sound).await {}
            let mut core = driver.lock();
            if let Some(input) = driver.look_at_activity(&mut core, run) {
                driver.feed_locked(&mut core, input);
            }
        });
    }
}

/// What cannot be seen keeps a tenant awake.
fn unseen() -> Fact {
    Fact::Activity { outgoing: 0, serves_beside: false, is_busy: false, seen: false }
}
