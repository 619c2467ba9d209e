//! How a stop reaches the process: through the warden, or through the user's `kill`.

use crate::Driver;
use crate::core::{Core, called_off};
use crate::machine::{Engine, Machine};
use crate::uplink::Record;
use pool::{Input, Owner, RunId, StopStage};
use std::sync::Arc;

impl<M: Machine> Driver<M> {
    /// Stops the run's process, or calls the run off if it has none yet.
    pub(crate) fn stop(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
        stage: StopStage,
    ) -> Option<Input> {
        core.mark_stopping(run);
        let handle = core.runs.get_mut(&run)?;
        handle.stop_probing();
        if let Some(tenant) = &handle.tenant {
            tenant.lease.revoke();
        }
        if handle.custody.owner == Owner::User {
            return self.tell(Record::AskKill { run, force: stage == StopStage::Force });
        }
        let stage = match stage {
            StopStage::Ask => warden::StopStage::Terminate,
            StopStage::Force => {
                handle.forced.iter().for_each(|forced| forced.notify_one());
                warden::StopStage::Kill
            }
        };
        match (handle.number, handle.launched) {
            (Some(number), _) => core.engine.engine()?.stop(number, stage),
            // Its launch has not begun: it waits for its turn, or for JavaScript to prepare it.
            (None, false) => return Some(Input::Fact(run, called_off())),
            // It is being launched: the pool stops it when its process is known.
            (None, true) => {}
        }
        None
    }

    /// Kills what is left of the run's tree after its main process has ended. The keeper does this
    /// without being asked, unless it was stopped (SIGSTOP): an order continues it.
    pub(crate) fn clear(&self, core: &mut Core<M>, run: RunId) -> Option<Input> {
        let number = core.runs.get(&run)?.number?;
        core.engine.engine()?.stop(number, warden::StopStage::Kill);
        None
    }
}
