//! What users are told, and what has to be found out for it.

use super::{Core, Driver, lock_tail};
use crate::os::accounting::Root;
use crate::os::clock;
use crate::os::connections;
use crate::os::ports::HeldPort;
use crate::uplink::Record;
use pool::{CallId, Event, ExitReason, Fact, Input, Outcome, Processes, Refusal, RunId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use warden::planted::{Bug, planted, planted_once_in};

/// Observations that are passed on at once, and the time until the next ones: what JavaScript handles in a fraction of
/// a millisecond, and time for its other work.
const OBSERVATIONS_AT_ONCE: usize = 256;
const OBSERVATIONS_PAUSE: Duration = Duration::from_millis(1);

impl Driver {
    pub(super) fn observe(self: &Arc<Self>, core: &mut Core) -> Option<Input> {
        let engine = core.engine.engine().cloned()?;
        let mut sampler = core.sampler.take()?;
        let (runs, roots): (Vec<RunId>, Vec<Root>) =
            core.runs.iter().filter_map(|(run, handle)| Some((*run, handle.root?))).unzip();
        let (driver, off_thread) = (self.clone(), engine.off_thread.clone());
        engine.spawn(async move {
            let sampling = off_thread.run(move || (sampler.sample(&roots), sampler));
            // One that cannot be taken is missing: the next is taken all the same.
            let (usages, sampler) = sampling.await.unwrap_or_else(|error| {
                tracing::warn!(%error, "tenants cannot be observed");
                Default::default()
            });
            let observed: Vec<_> =
                runs.into_iter().zip(usages).filter_map(|(run, usage)| Some((run, usage?))).collect();
            for (index, portion) in observed.chunks(OBSERVATIONS_AT_ONCE).enumerate() {
                if index > 0 {
                    tokio::time::sleep(OBSERVATIONS_PAUSE).await;
                }
                let mut core = driver.lock();
                for (run, usage) in portion {
                    let fact = Fact::Sampled { cpu_ms: usage.cpu_ms, rss_bytes: usage.rss_bytes };
                    driver.feed_locked(&mut core, Input::Fact(*run, fact));
                }
                drop(core);
                driver.uplink.ring();
            }
            driver.lock().sampler = Some(sampler);
        });
        None
    }

    pub(super) fn look_for_connections(self: &Arc<Self>, core: &mut Core) -> Option<Input> {
        let Some(engine) = core.engine.engine().cloned() else {
            return Some(Input::Connections { open: Vec::new(), seen: false });
        };
        let ports_of: Vec<(RunId, u16)> = core.runs.iter().map(|(run, handle)| (*run, handle.port)).collect();
        let (driver, off_thread) = (self.clone(), engine.off_thread.clone());
        engine.spawn(async move {
            let connected = off_thread.run(connections::ports).await.and_then(|looked| looked);
            let seen = connected.is_ok();
            let connected = connected.unwrap_or_else(|error| {
                tracing::warn!(%error, "connections cannot be seen");
                HashSet::new()
            });
            let open = ports_of.into_iter().filter(|(_, port)| connected.contains(port));
            driver.feed(Input::Connections { open: open.map(|(run, _)| run).collect(), seen });
        });
        None
    }

    pub(super) fn emit(&self, core: &mut Core, event: Event) -> Option<Input> {
        let record = match event {
            Event::Spawn { run, pid, port } => Record::Spawn { run, pid, port },
            Event::Ready { run, duration_ms } => {
                let handle = core.runs.get_mut(&run)?;
                if let Some(tail) = handle.tail.take() {
                    lock_tail(&tail).forget();
                }
                if handle.processes == Processes::External
                    && let Some((engine, held_port)) = core.engine.engine().zip(handle.held_port.take())
                {
                    engine.let_go_of_port(held_port);
                }
                Record::Ready { run, duration_ms, lease: core.leases.address(run)? }
            }
            Event::Adopt { run, .. } => Record::Adopt { run, lease: core.leases.address(run)? },
            Event::Restored { run, pid, port, duration_ms } => {
                Record::Restored { run, pid, port, duration_ms, lease: core.leases.address(run)? }
            }
            Event::IdleKill { run, idle_ms } => Record::IdleKill { run, idle_ms },
            Event::LruEvict { run } => Record::LruEvict { run },
            Event::Observation { run, cpu_ms, rss_bytes } => {
                Record::Observation { run, cpu_ms, rss_bytes, at_ms: clock::wall_ms() }
            }
            Event::Exit { run, exit_code, reason } => {
                if reason == ExitReason::Checkpointed {
                    let handle = core.runs.get_mut(&run)?;
                    // The port of a user's process is not held while it runs.
                    let held_port = handle.held_port.take().or_else(|| HeldPort::hold(handle.port).ok());
                    core.saved_ports.insert(handle.key.clone(), (handle.port, held_port));
                }
                Record::Exit { run, exit_code, reason }
            }
            Event::Backoff { key, attempt, retry_after_ms } => {
                Record::Backoff { key, attempt, retry_after_ms }
            }
            Event::Drain => Record::Drain,
        };
        self.tell(record)
    }

    pub(super) fn settle(self: &Arc<Self>, core: &mut Core, call: CallId, outcome: Outcome) -> Option<Input> {
        let disposing = core.dispose_calls.remove(&call);
        if disposing && outcome == Outcome::Done {
            self.leave_engine(core, Some(call));
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
        self.uplink.push(Record::Settle { call, outcome, output: output.unwrap_or_default() });
        None
    }

    pub(super) fn release(&self, core: &mut Core, run: RunId) -> Option<Input> {
        if let Some(mut handle) = core.runs.remove(&run) {
            handle.stop_probing();
            if planted_once_in(20, Bug::DescriptorStays) {
                std::mem::forget(handle.held_port.take());
            }
            if planted(Bug::MemoryGrows) {
                vec![1_u8; 32 << 10].leak();
            }
            if let Some(port) = handle.told_port {
                core.ports.remove(port);
            }
            if handle.has_saved_port && handle.root.is_none() {
                // Called off before anything came of it: what was saved still listens there.
                core.saved_ports.insert(handle.key, (handle.port, handle.held_port));
            }
        }
        let lease = core.leases.retire(run);
        self.uplink.push(Record::Release { run, lease });
        None
    }
}
