//! What earlier hosts have left: found out, told to the pool, and followed from then on.

use super::keeping::{reason_of, rules_of};
use super::{DetachReason, Recovering, Surviving};
use crate::Driver;
use crate::confinement::Confined;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use crate::run_handle::RunHandle;
use crate::supervision::Supervision;
use crate::uplink::Record;
use crate::users;
use linux::process::accounting::{Root, Usage};
use linux::warden_link::surviving::{FoundRun, NotRecovered, Notice, Recovery};
use pool::{
    CallId, Custody, ExitReason, Fact, Input, Key, Outcome, Part, Recovered, Refusal, Release,
    RunId,
};
use std::cmp::Reverse;
use std::sync::Arc;
use tokio::sync::oneshot;

impl<M: Machine> Driver<M> {
    /// Begins to find out what earlier hosts have left, if tenants may outlive theirs: as early as it
    /// can be, since they are missed until then.
    pub fn begin_to_recover(self: &Arc<Self>) {
        let mut core = self.lock();
        if let Some(survival) = &mut core.survival
            && let Recovering::Unknown { has_begun, .. } = &mut survival.recovering
            && !std::mem::replace(has_begun, true)
        {
            self.begin_recovery(&mut core);
        }
    }

    /// The call is answered when it is known and told what earlier hosts have left, or with why it
    /// cannot be.
    pub fn recover(self: &Arc<Self>, call: CallId) {
        self.begin_to_recover();
        let mut core = self.lock();
        let Some(survival) = &mut core.survival else { return };
        match &survival.recovering {
            Recovering::Known(known) => {
                let outcome = outcome_of(known);
                self.uplink.push(Record::Settle { call, outcome, output: None });
            }
            Recovering::Unknown { .. } => survival.recover_calls.push(call),
        }
        drop(core);
        self.uplink.ring();
    }

    /// When it is known what earlier hosts have left, for gateways. `None`: nothing is to be waited
    /// for.
    pub fn when_recovered(&self) -> Option<oneshot::Receiver<Result<(), Refusal>>> {
        let mut core = self.lock();
        let survival = core.survival.as_mut()?;
        let (tell, told) = oneshot::channel();
        match &survival.recovering {
            Recovering::Known(known) => drop(tell.send(known.clone())),
            Recovering::Unknown { .. } => survival.waiting.push(tell),
        }
        Some(told)
    }

    fn begin_recovery(self: &Arc<Self>, core: &mut Core<M>) {
        let engine = match self.ensure_engine(core) {
            Ok(engine) => engine,
            Err(error) => {
                let reason = format!("the runtime's thread could not be started: {error}");
                return self.not_recovered(core, NotRecovered::Failed(reason));
            }
        };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            match shared.recover().await {
                Ok(recovery) => driver.recovered(recovery),
                Err(error) => {
                    let mut core = driver.lock();
                    driver.not_recovered(&mut core, error);
                    drop(core);
                    driver.uplink.ring();
                    return;
                }
            }
            while let Some(notice) = shared.notice().await {
                driver.noticed(notice);
            }
        });
    }

    /// Tells the pool what was found: runs that have ended or end first, then those that serve, the
    /// most recently used ones before the others. Then the calls that have waited.
    fn recovered(self: &Arc<Self>, recovery: Recovery) {
        let Recovery { runs, listeners, unowned_since_ms } = recovery;
        let mut core = self.lock();
        let now_ms = self.machine.wall_ms();
        let mut told: Vec<(Recovered, FoundRun)> = Vec::with_capacity(runs.len());
        for found in runs {
            let Some(survival) = &mut core.survival else { return };
            survival.last_found += 1;
            let id = survival.last_found;
            told.push((self.recovered_run(&found, id, now_ms), found));
        }
        if unowned_since_ms > 0 {
            // Nobody could use a tenant meanwhile, so it was not idle.
            let absent = Input::Absent { from_ms: unowned_since_ms, to_ms: now_ms };
            self.feed_locked(&mut core, absent);
        }
        // Requests of the host before may be under way, until the warden says otherwise.
        core.leases.begin_others_uses();
        told.sort_by_key(|(process, _)| {
            let lives = matches!(process.part, Part::Serves | Part::Retires { .. });
            (lives, Reverse(process.touched_at_ms))
        });
        if let Some(survival) = &mut core.survival {
            survival.last_slot = listeners.iter().map(|found| found.slot).max().unwrap_or(0);
            survival.listeners = listeners;
        }
        for (process, found) in told {
            let key = Key::from(found.known.record.key.as_str());
            if let Some(survival) = &mut core.survival {
                survival.found.insert(process.found, found);
            }
            self.feed_locked(&mut core, Input::Recover { key, process: Box::new(process) });
        }
        if let Some(engine) = core.engine.engine().cloned() {
            self.claim_root(&engine);
        }
        self.recovery_is_known(&mut core, Ok(()));
        drop(core);
        self.uplink.ring();
    }

    fn recovered_run(&self, found: &FoundRun, id: u64, now_ms: u64) -> Recovered {
        let FoundRun { known, marks, started, usage, .. } = found;
        let (record, figures) = (&known.record, &known.figures);
        let stop_timeout_ms = self.settings.pool.stop_timeout_ms;
        let reason = marks.stopping.and_then(reason_of);
        let part = if marks.has_ended {
            Part::HasEnded { reason }
        } else if let Some(reason) = reason {
            Part::Ends { reason, within_ms: stop_timeout_ms }
        } else if !marks.is_ready || record.root != self.settings.recipe.root {
            // The warden ends what was starting when its host went.
            Part::Ends { reason: ExitReason::Killed, within_ms: stop_timeout_ms }
        } else if marks.is_retired {
            Part::Retires { for_ms: figures.retires_at_ms.saturating_sub(now_ms) }
        } else {
            Part::Serves
        };
        Recovered {
            found: id,
            pid: started.pid,
            port: record.port,
            release: Release(record.release),
            touched_at_ms: figures.touched_at_ms,
            ready_for_ms: figures.ready.map(|(_, at_ms)| now_ms.saturating_sub(at_ms)),
            cpu_ms: figures.cpu_ms.max(usage.map_or(0, |usage| usage.cpu_ms)),
            rules: rules_of(&record.rules),
            part,
        }
    }

    /// Carries out `Action::Recover`: the run that was found is followed from now on.
    pub(crate) fn take_in_found(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
        key: Key,
        found: u64,
    ) -> Option<Input> {
        let found = core.survival.as_mut()?.found.remove(&found)?;
        let engine = core.engine.engine()?.clone();
        let root = root_of(&found);
        let FoundRun {
            number, record: file, known, usage, lines_lost, port, marks, output, ..
        } = found;
        let (its, figures) = (known.record, known.figures);
        if let Some(user) =
            its.in_force.as_ref().and_then(|in_force| in_force.isolation.as_ref()?.user)
        {
            users::hold(user, &self.settings.recipe.directory_of(&key));
        }
        let confined = its.in_force.map(|in_force| {
            Box::new(Confined { in_force, groups: its.groups, temporary: its.temporary })
        });
        let surviving = Surviving::new(file, Some((its.started_at_ms, lines_lost)));
        let handle = RunHandle {
            port: its.port,
            assigned_port: Some(its.port),
            held_port: port.and_then(|socket| self.machine.found_port(socket)),
            launched: true,
            forced: Some(Arc::default()),
            number: Some(number),
            root: Some(root),
            prepared_since_boot_ms: its.since_boot_ms,
            was_ready: marks.is_ready,
            at_ipv6: figures.at_ipv6,
            confined,
            ..RunHandle::new(key, Custody::OURS)
        };
        let log_room = self.hears_logs().then(|| self.uplink.log_room());
        let forced = handle.forced.clone().unwrap_or_default();
        let mut supervision =
            Supervision::new(self.clone(), run, handle.tail.clone()?, log_room, forced);
        supervision.survives(&surviving);
        core.ports.assign(its.port);
        core.runs.insert(run, Box::new(RunHandle { surviving: Some(surviving), ..handle }));
        if marks.asleep.is_some() {
            // To the pool it is awake.
            engine.rouse(number);
        }
        if its.root != self.settings.recipe.root {
            engine.stop(number, warden::StopStage::Terminate);
        }
        let shared = engine.clone();
        engine.spawn(async move { shared.supervise_found(output, &supervision).await });
        let Usage { cpu_ms, rss_bytes, .. } = usage?;
        Some(Input::Fact(run, Fact::Sampled { cpu_ms, rss_bytes, regular: false }))
    }

    fn not_recovered(self: &Arc<Self>, core: &mut Core<M>, error: NotRecovered) {
        let refusal = match error {
            NotRecovered::InUse { pid } => Refusal::InUse { pid, version: None },
            NotRecovered::OtherVersion { pid, version } => {
                Refusal::InUse { pid, version: Some(version) }
            }
            NotRecovered::Failed(reason) => Refusal::NotRecovered { reason },
        };
        self.feed_locked(core, Input::Refuse { refusal: refusal.clone() });
        self.recovery_is_known(core, Err(refusal));
    }

    /// Answers all who wait for it, and makes the calls that were held.
    fn recovery_is_known(self: &Arc<Self>, core: &mut Core<M>, known: Result<(), Refusal>) {
        let Some(survival) = &mut core.survival else { return };
        let before = std::mem::replace(&mut survival.recovering, Recovering::Known(known.clone()));
        for call in std::mem::take(&mut survival.recover_calls) {
            let outcome = outcome_of(&known);
            self.uplink.push(Record::Settle { call, outcome, output: None });
        }
        for waiting in std::mem::take(&mut survival.waiting) {
            let _ = waiting.send(known.clone());
        }
        if let Recovering::Unknown { held, .. } = before {
            held.into_iter().for_each(|input| self.feed_locked(core, input));
        }
    }

    fn noticed(self: &Arc<Self>, notice: Notice) {
        tracing::debug!(?notice, "warden");
        let mut core = self.lock();
        match notice {
            Notice::Yield { .. } => self.leave(&mut core, DetachReason::TakeOver, None),
            Notice::Fenced => self.leave(&mut core, DetachReason::Fenced, None),
            Notice::PredecessorGone => core.leases.end_others_uses(),
        }
        drop(core);
        self.uplink.ring();
    }
}

fn root_of(found: &FoundRun) -> Root {
    let FoundRun { started, known, .. } = found;
    Root::of_tenant(started.keeper_pid, &known.record.groups, started.group)
}

fn outcome_of(known: &Result<(), Refusal>) -> Outcome {
    match known {
        Ok(()) => Outcome::Done,
        Err(refusal) => Outcome::Refused(refusal.clone()),
    }
}
