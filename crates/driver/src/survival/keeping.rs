//! What is kept for each run, for the host that comes after this one.

use super::Surviving;
use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine, Port};
use crate::run_handle::RunHandle;
use linux::warden_link::run::{Kept, Program};
use linux::warden_link::{RecordFile, RunRecord};
use pool::{ExitReason, Failure, Input, RunId, RunRules};
use std::io;
use std::sync::Arc;
use warden::Mark;

/// Reasons, by the byte that stands for each in a mark; the first is 1. Later hosts read them: a
/// new one is added at the end.
const REASONS: [ExitReason; 12] = [
    ExitReason::Crashed,
    ExitReason::ExitedClean,
    ExitReason::IdleKilled,
    ExitReason::LruEvicted,
    ExitReason::Killed,
    ExitReason::ReadinessTimeout,
    ExitReason::Disposed,
    ExitReason::Restarted,
    ExitReason::Checkpointed,
    ExitReason::Replaced,
    ExitReason::Moved,
    ExitReason::Fenced,
];

pub(super) fn reason_of(detail: u8) -> Option<ExitReason> {
    let known = REASONS.get(usize::from(detail.checked_sub(1)?)).copied();
    // One of a later version.
    known.or(Some(ExitReason::Killed))
}

fn detail_of(reason: ExitReason) -> u8 {
    let place = REASONS.iter().position(|one| *one == reason);
    place.map_or(0, |place| place as u8 + 1)
}

/// Rules as the record has them.
fn written(rules: Option<RunRules>) -> Vec<u64> {
    let Some(RunRules { idle_after_ms, stop_timeout_ms, is_warm }) = rules else {
        return Vec::new();
    };
    let number = |number: Option<u64>| number.map_or(0, |number| number.saturating_add(1));
    // 0: no rule; 1: never; others: two more than the milliseconds.
    let idle = idle_after_ms.map_or(0, |idle| number(idle).saturating_add(1));
    vec![idle, number(stop_timeout_ms), u64::from(is_warm)]
}

pub(super) fn rules_of(written: &[u64]) -> RunRules {
    let [idle, stop, is_warm] = *written else { return RunRules::default() };
    let number = |number: u64| number.checked_sub(1);
    RunRules {
        idle_after_ms: number(idle).map(number),
        stop_timeout_ms: number(stop),
        is_warm: is_warm == 1,
    }
}

impl<M: Machine> Driver<M> {
    /// Makes the record of a run that is about to be launched, and has the launch hand it over. An
    /// error: there is no descriptor for it.
    pub(crate) fn keep(
        &self,
        run: RunId,
        program: &mut Program,
        started_at_ms: u64,
    ) -> Result<Option<Surviving>, Failure> {
        let mut core = self.lock();
        if core.survival.is_none() {
            return Ok(None);
        }
        let release = core.pool.release_of(run).unwrap_or_default();
        let Some(handle) = core.runs.get_mut(&run) else { return Ok(None) };
        let record = self.record_of(handle, release.0, started_at_ms);
        let failed = |error: io::Error| Failure::NotStarted {
            reason: format!("it could not be made to outlive this host: {error}"),
        };
        let keep = || {
            let file = RecordFile::new(&record)?;
            file.touched(self.machine.wall_ms());
            let held = handle.held_port.as_ref().map(Port::descriptor);
            let port = held.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
            Ok((Kept { record: file.descriptor()?, port }, file))
        };
        let (kept, file) = keep().map_err(failed)?;
        program.kept = Some(kept);
        let surviving = handle.surviving.insert(Surviving::new(file, None));
        Ok(Some(surviving.share()))
    }

    fn record_of(
        &self,
        handle: &RunHandle<M::Port>,
        release: u64,
        started_at_ms: u64,
    ) -> RunRecord {
        let confined = handle.confined.as_deref();
        RunRecord {
            key: handle.key.to_string(),
            root: self.settings.recipe.root.clone(),
            port: handle.port,
            release,
            started_at_ms,
            since_boot_ms: handle.prepared_since_boot_ms,
            rules: written(handle.settings.as_ref().map(|its| its.rules)),
            groups: confined.map(|confined| confined.groups.clone()).unwrap_or_default(),
            temporary: confined.and_then(|confined| confined.temporary.clone()),
            in_force: confined.map(|confined| confined.in_force.clone()),
        }
    }

    /// The run is ready: from now on it outlives its host.
    pub(crate) fn mark_ready(&self, core: &Core<M>, run: RunId, duration_ms: u64) {
        let Some(handle) = core.runs.get(&run) else { return };
        let Some(surviving) = &handle.surviving else { return };
        let now_ms = self.machine.wall_ms();
        surviving.record.touched(now_ms);
        surviving.record.is_ready(duration_ms, now_ms, handle.at_ipv6);
        core.mark(run, Mark::Ready, 0);
    }

    /// Carries out `Action::Retire`.
    pub(crate) fn mark_retired(&self, core: &Core<M>, run: RunId, for_ms: u64) -> Option<Input> {
        if let Some(surviving) = core.runs.get(&run).and_then(|run| run.surviving.as_ref()) {
            surviving.record.retires(self.machine.wall_ms().saturating_add(for_ms));
            core.mark(run, Mark::Retired, 0);
        }
        None
    }

    /// Stores when each run was last touched.
    pub(crate) fn store_touches(&self, core: &Core<M>) {
        for (run, handle) in &core.runs {
            if let Some((surviving, lease)) = handle.surviving.as_ref().zip(core.leases.lease(*run))
            {
                surviving.record.touched(lease.touched_at_ms());
            }
        }
    }

    /// JavaScript has told the end of the run: the warden need not keep it.
    pub fn end_is_told(self: &Arc<Self>, run: RunId) {
        let mut core = self.lock();
        let number = core.survival.as_mut().and_then(|own| own.untold_ends.remove(&run));
        if let Some((number, engine)) = number.zip(core.engine.engine()) {
            engine.end_is_told(number);
        }
        self.leave_if_done(&mut core);
        drop(core);
        self.uplink.ring();
    }
}

impl<M: Machine> Core<M> {
    fn mark(&self, run: RunId, mark: Mark, detail: u8) {
        let number = self.runs.get(&run).and_then(|handle| handle.number);
        if let Some((number, engine)) = number.zip(self.engine.engine()) {
            engine.mark(number, mark, detail);
        }
    }

    /// Stores what the run has used, as it is told.
    pub(crate) fn store_usage(&self, run: RunId, cpu_ms: u64) {
        if let Some(surviving) = self.runs.get(&run).and_then(|run| run.surviving.as_ref()) {
            surviving.record.has_used(cpu_ms);
        }
    }

    /// The end of the run is being told: the warden keeps it until JavaScript has read it.
    pub(crate) fn note_untold_end(&mut self, run: RunId) {
        let handle = self.runs.get(&run).filter(|handle| handle.surviving.is_some());
        let number = handle.and_then(|handle| handle.number);
        if let Some((survival, number)) = self.survival.as_mut().zip(number) {
            survival.untold_ends.insert(run, number);
        }
    }

    /// The run is about to be asked to end.
    pub(crate) fn mark_stopping(&self, run: RunId) {
        if self.survival.is_some() {
            let reason = self.pool.cause_of(run).unwrap_or(ExitReason::Killed);
            self.mark(run, Mark::Stopping, detail_of(reason));
        }
    }
}

impl Surviving {
    pub(super) fn new(record: RecordFile, found: Option<(u64, u64)>) -> Surviving {
        let record = Arc::new(record);
        let counted = record.clone();
        let told = Arc::new(move |lines| counted.has_told(lines));
        Surviving { record, let_go: Arc::default(), told, found }
    }

    /// Another handle of the same.
    pub(crate) fn share(&self) -> Surviving {
        Surviving {
            record: self.record.clone(),
            let_go: self.let_go.clone(),
            told: self.told.clone(),
            found: self.found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_were_written() {
        for idle_after_ms in [None, Some(None), Some(Some(0)), Some(Some(5_000))] {
            for stop_timeout_ms in [None, Some(0), Some(9)] {
                let rules = RunRules { idle_after_ms, stop_timeout_ms, is_warm: true };
                assert_eq!(rules_of(&written(Some(rules))), rules);
            }
        }
        assert_eq!(rules_of(&written(None)), RunRules::default());
    }

    #[test]
    fn reasons_are_read_as_they_were_written() {
        for reason in REASONS {
            assert_eq!(reason_of(detail_of(reason)), Some(reason));
        }
        assert_eq!(reason_of(0), None, "it was not said");
        assert_eq!(reason_of(200), Some(ExitReason::Killed), "a later version has said it");
    }
}
