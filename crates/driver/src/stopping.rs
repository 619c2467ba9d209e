//! How a stop reaches the process: by the warden, or by the user's own `kill`.

use crate::Driver;
use crate::core::{Core, called_off};
use crate::machine::{Engine, Machine};
use crate::uplink::Record;
use pool::{Input, Owner, RunId, StopStage};
use std::sync::Arc;

impl<M: Machine> Driver<M> {
    pub(crate) fn stop(self: &Arc<Self>, core: &mut Core<M>, run: RunId, stage: StopStage) -> Option<Input> {
        let handle = core.runs.get_mut(&run)?;
        handle.stop_probing();
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
            // It has not begun: it waits for its turn, or for JavaScript to prepare it.
            (None, false) => return Some(Input::Fact(run, called_off())),
            // Its start is under way: the pool stops it when it has come up.
            (None, true) => {}
        }
        None
    }

    /// Its keeper does this by itself, unless it was stopped: an order continues it.
    pub(crate) fn clear(&self, core: &mut Core<M>, run: RunId) -> Option<Input> {
        let number = core.runs.get(&run)?.number?;
        core.engine.engine()?.stop(number, warden::StopStage::Kill);
        None
    }
}
