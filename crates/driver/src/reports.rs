//! Reports: usage samples and connections for the pool, events for the user, and answers to calls.

use crate::Driver;
use crate::callers::Callers;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use crate::sleep::usages::{self, ToSample};
use crate::uplink::Record;
use linux::process::accounting::{self, Root, Sampler, of_tree};
use pool::{CallId, Event, Fact, Input, Outcome, Owner, Phase, Refusal, RunId, Status};
use std::sync::Arc;
use std::time::Duration;
use warden::planted::{Bug, planted, planted_once_in};

/// Observations are fed in portions of this size, with a pause after each: JavaScript handles one
/// portion in a fraction of a millisecond, and has time for its other work in the pause.
const OBSERVATIONS_AT_ONCE: usize = 256;
const OBSERVATIONS_PAUSE: Duration = Duration::from_millis(1);

/// The most trees without a sample that `list` reads itself. Each takes a tenth of a millisecond.
pub(super) const SAMPLED_AT_ONCE: usize = 64;

/// What a run uses.
pub type Sampled = (RunId, accounting::Usage);

/// Samples all runs, off this thread, with this sampler, which is to be put back. `None` while it
/// is in use.
fn sample_all<M: Machine>(
    core: &mut Core<M>,
    engine: &M::Engine,
    sampler: impl FnOnce(&mut Core<M>) -> &mut Option<Sampler>,
) -> Option<impl Future<Output = (usages::Sampled, Sampler)> + Send + 'static> {
    let mut sampler = sampler(core).take()?;
    let trees = core.runs.iter().filter_map(|(run, handle)| Some((*run, handle.root?)));
    let to_sample = ToSample::new(trees, core.sleeping.as_deref());
    let sampling = engine.off_thread(move || (to_sample.sample(&mut sampler), sampler));
    Some(async move {
        // Without a thread for slow work this sample is left out, and the next one is taken.
        sampling.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "tenants cannot be observed");
            Default::default()
        })
    })
}

impl<M: Machine> Driver<M> {
    /// Samples a run that has become ready, on the thread for slow work; runs that become ready
    /// meanwhile are sampled together after it. Those that were found were sampled together by then.
    pub(super) fn sample(self: &Arc<Self>, core: &mut Core<M>, run: RunId) -> Option<Input> {
        let surviving = core.runs.get(&run).and_then(|handle| handle.surviving.as_ref());
        if surviving.is_some_and(|surviving| surviving.found.is_some()) {
            return None;
        }
        if let Some(to_sample) = &mut core.to_sample {
            to_sample.push(run);
            return None;
        }
        let engine = core.engine.engine().cloned()?;
        core.to_sample = Some(vec![run]);
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            while let Some(roots) = driver.take_roots_to_sample() {
                let sample =
                    move || roots.into_iter().map(|(run, root)| (run, of_tree(root))).collect();
                let usages: Vec<_> = shared.off_thread(sample).await.unwrap_or_default();
                usages.into_iter().for_each(|(run, usage)| driver.report_usage(run, usage));
            }
        });
        None
    }

    /// The trees that wait for their first sample. `None` if there are none, and the task ends.
    fn take_roots_to_sample(&self) -> Option<Vec<(RunId, Root)>> {
        let mut core = self.lock();
        let runs = core.to_sample.take().filter(|runs| !runs.is_empty())?;
        core.to_sample = Some(Vec::new());
        Some(runs.into_iter().filter_map(|run| Some((run, core.runs.get(&run)?.root?))).collect())
    }

    fn report_usage(self: &Arc<Self>, run: RunId, usage: Option<accounting::Usage>) {
        if let Some(accounting::Usage { cpu_ms, rss_bytes, .. }) = usage {
            self.feed(Input::Fact(run, Fact::Sampled { cpu_ms, rss_bytes, regular: false }));
        }
    }

    /// Samples a tenant that is ready and has no sample yet, and adds its usage to the status.
    pub(super) fn fill_usage(self: &Arc<Self>, status: &mut Status) {
        let Some(run) =
            status.run.filter(|_| status.phase == Phase::Ready && status.usage.is_none())
        else {
            return;
        };
        let Some(root) = self.lock().runs.get(&run).and_then(|handle| handle.root) else { return };
        let usage = of_tree(root);
        status.usage =
            usage.map(|usage| pool::Usage { cpu_ms: usage.cpu_ms, rss_bytes: usage.rss_bytes });
        self.report_usage(run, usage);
    }

    /// Samples a run whose `kill` (the user's) is about to be called: this is the last sample, by
    /// which the user bills the tenant.
    pub fn sample_before_stop(self: &Arc<Self>, run: RunId) {
        if !self.settings.pool.tells_observations
            || self.settings.pool.observe_interval_ms.is_none()
        {
            return;
        }
        let root = self.lock().runs.get(&run).and_then(|handle| handle.root);
        self.report_usage(run, root.and_then(of_tree));
    }

    /// Samples all runs, off this thread, and feeds the pool the samples.
    pub(super) fn observe(self: &Arc<Self>, core: &mut Core<M>) -> Option<Input> {
        let engine = core.engine.engine().cloned()?;
        let sampling = sample_all(core, &engine, |core| &mut core.sampler)?;
        let driver = self.clone();
        engine.spawn(async move {
            let (observed, sampler) = sampling.await;
            observed.keep(driver.lock().sleeping.as_deref_mut());
            for (index, portion) in observed.usages.chunks(OBSERVATIONS_AT_ONCE).enumerate() {
                if index > 0 {
                    tokio::time::sleep(OBSERVATIONS_PAUSE).await;
                }
                let mut core = driver.lock();
                for (run, usage) in portion {
                    let accounting::Usage { cpu_ms, rss_bytes, .. } = *usage;
                    let fact = Fact::Sampled { cpu_ms, rss_bytes, regular: true };
                    driver.feed_locked(&mut core, Input::Fact(*run, fact));
                }
                drop(core);
                driver.uplink.ring();
            }
            driver.lock().sampler = Some(sampler);
        });
        None
    }

    /// What all runs use now. It is told only here: the pool and the user's `onMetrics` have their
    /// own samples, which go on meanwhile. `answer` is called on the engine's thread. False, without
    /// a call, if no process has been started, or such a look is being taken already.
    pub fn look_at_usages(
        self: &Arc<Self>,
        answer: impl FnOnce(Vec<Sampled>) + Send + 'static,
    ) -> bool {
        let mut core = self.lock();
        let Some(engine) = core.engine.engine().cloned() else { return false };
        let Some(sampling) = sample_all(&mut core, &engine, |core| &mut core.looking_sampler)
        else {
            return false;
        };
        let driver = self.clone();
        engine.spawn(async move {
            let (looked, sampler) = sampling.await;
            {
                let mut core = driver.lock();
                looked.keep(core.sleeping.as_deref_mut());
                core.looking_sampler = Some(sampler);
            }
            answer(looked.usages);
        });
        true
    }

    /// Looks which runs have open connections, off this thread, and tells the pool.
    pub(super) fn look_for_connections(self: &Arc<Self>, core: &mut Core<M>) -> Option<Input> {
        let Some(engine) = core.engine.engine().cloned() else {
            return Some(Input::Connections { open: Vec::new(), seen: false });
        };
        self.drop_unused_connections(core);
        let (runs, tenants): (Vec<RunId>, Vec<(u16, Option<Root>)>) =
            core.runs.iter().map(|(run, handle)| (*run, (handle.port, handle.root))).unzip();
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let connected = shared.connected(tenants).await;
            let seen = connected.is_ok();
            let connected = connected.unwrap_or_else(|error| {
                tracing::warn!(%error, "connections cannot be seen");
                Vec::new()
            });
            let open = runs.into_iter().zip(connected).filter(|(_, is_connected)| *is_connected);
            driver.feed(Input::Connections { open: open.map(|(run, _)| run).collect(), seen });
        });
        None
    }

    /// The record of a run that was found. Its tenant, if it is one, enters the directory.
    fn recover_record(
        &self,
        core: &mut Core<M>,
        run: RunId,
        pid: u32,
        port: u16,
        cpu_ms: u64,
    ) -> Option<Record> {
        let lease = core.leases.address(run).filter(|_| core.pool.is_ready(run));
        if lease.is_some() {
            self.enter_directory(core, run);
        }
        let handle = core.runs.get(&run)?;
        let (started_at_ms, lines_lost) = handle.surviving.as_ref()?.found?;
        let (key, at_ipv6) = (handle.key.clone(), handle.at_ipv6);
        Some(Record::Recover {
            run,
            key,
            pid,
            port,
            started_at_ms,
            cpu_ms,
            lines_lost,
            at_ipv6,
            lease,
        })
    }

    /// Makes the record of an event, and keeps the directory up to date.
    pub(super) fn emit(&self, core: &mut Core<M>, event: Event) -> Option<Input> {
        let record = match event {
            Event::Spawn { run, pid, port } => Record::Spawn { run, pid, port },
            Event::Ready { run, duration_ms } => {
                let handle = core.runs.get_mut(&run)?;
                if handle.custody.owner == Owner::User
                    && let Some((engine, held_port)) =
                        core.engine.engine().zip(handle.held_port.take())
                {
                    engine.release_port(held_port);
                }
                handle.was_ready = true;
                let at_ipv6 = handle.at_ipv6;
                self.mark_ready(core, run, duration_ms);
                self.enter_directory(core, run);
                core.tell_ready(run);
                Record::Ready { run, duration_ms, lease: core.leases.address(run)?, at_ipv6 }
            }
            Event::Adopt { run, .. } => {
                self.find_address(core, run);
                self.enter_directory(core, run);
                core.tell_ready(run);
                Record::Adopt { run, lease: core.leases.address(run)? }
            }
            Event::Restored { run, pid, port, duration_ms } => {
                self.find_address(core, run);
                self.enter_directory(core, run);
                core.tell_ready(run);
                Record::Restored { run, pid, port, duration_ms, lease: core.leases.address(run)? }
            }
            Event::IdleKill { run, idle_ms } => Record::IdleKill { run, idle_ms },
            Event::LruEvict { run } => Record::LruEvict { run },
            Event::Sleep { run, depth, rss_bytes } => Record::Sleep { run, depth, rss_bytes },
            Event::Wake { run, depth, by_itself } => {
                let duration_us = core.wake_took_us(run, self.machine.precise_us());
                Record::Wake { run, duration_us, depth, by_itself }
            }
            Event::Observation { run, cpu_ms, rss_bytes } => {
                core.store_usage(run, cpu_ms);
                Record::Observation { run, cpu_ms, rss_bytes, at_ms: self.machine.wall_ms() }
            }
            Event::Exit { run, exit_code, signal, reason, out_of_memory } => {
                core.note_untold_end(run);
                Record::Exit { run, exit_code, signal, reason, out_of_memory }
            }
            Event::Backoff { key, attempt, retry_after_ms } => {
                Record::Backoff { key, attempt, retry_after_ms }
            }
            Event::Drain => Record::Drain,
            Event::Recover { run, pid, port, cpu_ms } => {
                self.recover_record(core, run, pid, port, cpu_ms)?
            }
            Event::Detach => self.leaving(core)?,
        };
        self.tell(record)
    }

    /// Answers a call. `dispose` is answered only when the engine has been given back.
    pub(super) fn settle(
        self: &Arc<Self>,
        core: &mut Core<M>,
        call: CallId,
        outcome: Outcome,
    ) -> Option<Input> {
        if Callers::is_from_rust(call) {
            return self.settle_in_rust(core, call, outcome);
        }
        let disposing = core.dispose_calls.remove(&call);
        if disposing && outcome == Outcome::Done {
            self.release_engine(core, Some(call));
            return None;
        }
        if self.settle_leaving(core, call, &outcome) {
            return None;
        }
        if let Outcome::Refused(Refusal::StillTracked { refused }) = &outcome {
            for (run, failure) in refused.iter().cloned() {
                self.uplink.push(Record::NotStopped { run, failure });
            }
        }
        let output = match &outcome {
            Outcome::Refused(Refusal::StartFailed { run: Some(run), .. }) => {
                core.runs.get(run).map(|handle| handle.output())
            }
            _ => None,
        };
        if planted_once_in(300, Bug::AnswerIsLost) {
            return None;
        }
        self.uplink.push(Record::Settle { call, outcome, output });
        None
    }

    /// Releases what is held for a run that is over. With `keeps_port` its port is kept for the
    /// key, since the key's image will listen there.
    pub(super) fn release(
        &self,
        core: &mut Core<M>,
        run: RunId,
        keeps_port: bool,
    ) -> Option<Input> {
        core.asked.remove(&run);
        if let Some(sleeping) = &mut core.sleeping {
            sleeping.forget(run);
        }
        if let Some(mut handle) = core.runs.remove(&run) {
            handle.stop_probing();
            core.tell_ended(&handle.key);
            if let Some(tenant) = handle.tenant.take() {
                self.directory.remove(&tenant.key, run);
            }
            if planted_once_in(10, Bug::DescriptorStays) {
                std::mem::forget(handle.held_port.take());
            }
            if planted(Bug::MemoryGrows) {
                vec![1_u8; 32 << 10].leak();
            }
            if let Some(port) = handle.assigned_port {
                core.ports.unassign(port);
            }
            // Port 0 is that of a process that was adopted without one: there is none to keep.
            if keeps_port && handle.port != 0 {
                // The port of a user's process is not held while the process runs.
                let held_port = handle.held_port.or_else(|| self.machine.hold_port(handle.port));
                core.ports.keep(handle.key, handle.port, held_port);
            } else if let Some((engine, held_port)) = core.engine.engine().zip(handle.held_port) {
                engine.release_port(held_port);
            }
        }
        let lease = core.leases.retire(run);
        self.uplink.push(Record::Release { run, lease });
        None
    }
}
