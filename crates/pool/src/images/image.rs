//! What is known of one key's image.

use super::Next;
use crate::planted::{Bug, planted};
use crate::{ImageAnswer, RunId};

#[derive(Debug, Default)]
pub struct Image {
    pub state: State,
    /// What the snapshot driver is doing for the key.
    pub call: Option<Call>,
    /// What waits for the snapshot driver.
    pub waiting: Option<Waiting>,
    /// A start of a release that serves no longer waits for the call under way, to be over.
    pub leaving: Option<RunId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    None,
    Saving {
        run: RunId,
        /// Dropping the image before had failed: it is still there if this run cannot be saved.
        was_doubtful: bool,
    },
    Saved,
    Restoring {
        run: RunId,
        is_ours: bool,
    },
    Doubtful {
        /// It has not been tried yet to drop it, or is to be tried again.
        is_due: bool,
    },
}

pub const TO_BE_DROPPED: State = State::Doubtful { is_due: true };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Save,
    Find,
    Restore,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Start {
        run: RunId,
        /// An image may still be found for it.
        may_restore: bool,
        /// The call under way is for this start.
        has_asked: bool,
    },
    Save(RunId),
}

impl Image {
    pub fn doubt(&mut self) {
        self.state = TO_BE_DROPPED;
    }

    pub fn is_doubtful(&self) -> bool {
        matches!(self.state, State::Doubtful { .. })
    }

    pub fn try_to_drop_again(&mut self) {
        if self.is_doubtful() && self.call != Some(Call::Drop) {
            self.doubt();
        }
    }

    pub fn is_saving(&self, saved: RunId) -> bool {
        matches!(self.state, State::Saving { run, .. } if run == saved)
    }

    pub fn waiting_start(&self) -> Option<RunId> {
        match self.waiting? {
            Waiting::Start { run, .. } => Some(run),
            Waiting::Save(_) => None,
        }
    }

    pub fn has_asked(&self) -> bool {
        matches!(self.waiting, Some(Waiting::Start { has_asked: true, .. }))
    }

    /// The run that the save was of, and whether it is saved; `None` if the run is no longer to be
    /// saved, since its image is doubtful already.
    pub fn save_answered(&mut self, answer: ImageAnswer) -> Option<(RunId, bool)> {
        let State::Saving { run, was_doubtful } = self.state else {
            if planted(Bug::LateSaveCounts) && answer == ImageAnswer::Yes {
                self.state = State::Saved;
            }
            return None;
        };
        match answer {
            ImageAnswer::Yes => {}
            ImageAnswer::No if !was_doubtful => self.state = State::None,
            // Part of an image may be there.
            ImageAnswer::No | ImageAnswer::Failed => self.doubt(),
        }
        Some((run, answer == ImageAnswer::Yes))
    }

    pub fn find_answered(&mut self, run: RunId, answer: ImageAnswer) -> Next {
        match answer {
            ImageAnswer::Yes => {
                let is_ours = self.state == State::Saved;
                self.state = State::Restoring { run, is_ours };
                self.call = Some(Call::Restore);
                return Next::Restore { run, is_ours };
            }
            ImageAnswer::No => {}
            ImageAnswer::Failed => self.doubt(),
        }
        self.waiting = Some(Waiting::Start { run, may_restore: false, has_asked: false });
        Next::Nothing
    }

    /// An image is restored once: it is doubtful afterwards, unless the restore was called off
    /// before it was tried.
    pub fn restore_answered(&mut self, answer: ImageAnswer) {
        match self.state {
            State::Restoring { is_ours, .. }
                if answer == ImageAnswer::No || planted(Bug::ImageIsKept) =>
            {
                self.state = if is_ours { State::Saved } else { State::None };
            }
            _ => self.doubt(),
        }
        if let Some(Waiting::Start { run, has_asked: true, .. }) = self.waiting {
            self.waiting = Some(Waiting::Start { run, may_restore: false, has_asked: false });
        }
    }
}

impl Waiting {
    pub fn run(&self) -> RunId {
        match self {
            Waiting::Start { run, .. } | Waiting::Save(run) => *run,
        }
    }

    pub fn is_start_of(&self, waiting: RunId) -> bool {
        matches!(self, Waiting::Start { run, .. } if *run == waiting)
    }
}
