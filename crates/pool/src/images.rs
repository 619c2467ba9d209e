//! Images: what is kept of the snapshots of tenants, which of them are trusted, and when they are
//! dropped.
//!
//! An image is taken of an idle tenant before it is stopped, and a later start of its key continues
//! from it. The user's snapshot driver takes, restores and drops it; here is decided when. Of each
//! key's image one thing is known:
//!
//! | state | there is … | becomes … |
//! |---|---|---|
//! | none | none that we know of; an earlier host may have left one, so the snapshot driver is asked at each start | saving, restoring, doubtful |
//! | saving | one that is being taken of this run, or was taken and counts once the run has ended as saved | saved; none, if there is none after all; doubtful, if the run ends otherwise, goes on, or took too long to save |
//! | saved | one of the key's last process, which ended with it | restoring, doubtful; none, if the snapshot driver has it no more |
//! | restoring | one that this run is being brought back from | doubtful, whatever comes of it; what it was, if it was called off before that was tried |
//! | doubtful | perhaps one that the tenant has moved past, or half of one | none, once it has been dropped; saving |
//!
//! Only an image that is not doubtful is restored, and it is doubtful from that moment on, so that
//! it is restored once. A doubtful image is dropped as soon as the snapshot driver is free. If that
//! fails it is tried again before the key is started, which is then done without an image, and
//! before the key is saved.
//!
//! The snapshot driver does one thing at a time for each key, and nothing of the key starts while
//! it does. What waits for it (a start, or a save) goes on by [`Images::next`], which every answer
//! ends with. How long a start waits is counted by JavaScript, which knows whether it was able to
//! hear the answer, and told as `Fact::ImageLate`. An answer that is late still ends the call.

mod image;

use crate::planted::{Bug, planted};
use crate::{ImageAnswer, Key, KeyMap, RunId};
use image::{Call, Image, State, TO_BE_DROPPED, Waiting};

#[derive(Debug, Default)]
pub(crate) struct Images {
    by_key: KeyMap<Image>,
}

/// What is to be done about a key next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    /// The run, a start or one that is to be saved, goes on when the snapshot driver has answered.
    Await(RunId),
    /// The snapshot driver is asked whether there is an image for the start.
    Find(RunId),
    /// The run is brought back; `is_ours` if the image is of a process of this pool.
    Restore {
        run: RunId,
        is_ours: bool,
    },
    Save(RunId),
    /// The image is dropped, and this run waits for that.
    Drop {
        awaited_by: Option<RunId>,
    },
    StartCold(RunId),
}

/// What an answer of the snapshot driver brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Whether this run was saved.
    pub saved: Option<(RunId, bool)>,
    /// This start waited, and was called off meanwhile.
    pub called_off: Option<RunId>,
    /// This start waited too, and was called off since another release of the key serves now.
    pub left_behind: Option<RunId>,
    pub next: Next,
}

/// What comes of a start that has waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// It does not wait for the snapshot driver.
    Ignored,
    /// It goes on without an image, when the snapshot driver has answered.
    Waits,
    /// The snapshot driver has had its time again: the start fails.
    Fails,
}

impl Images {
    /// A start of the key begins, `fresh` if it wants no image.
    pub fn start(&mut self, key: &Key, run: RunId, fresh: bool) -> Next {
        let image = self.by_key.entry(key.clone()).or_default();
        if fresh && !image.is_doubtful() {
            image.doubt();
        }
        let may_restore = !image.is_doubtful();
        image.try_to_drop_again();
        image.waiting = Some(Waiting::Start { run, may_restore, has_asked: false });
        self.next(key)
    }

    /// The run is idle and to be saved before it is stopped.
    pub fn save(&mut self, key: &Key, run: RunId) -> Next {
        let image = self.by_key.entry(key.clone()).or_default();
        image.try_to_drop_again();
        image.waiting = Some(Waiting::Save(run));
        self.next(key)
    }

    /// Nothing waits any more for the run to be saved.
    pub fn give_up_save(&mut self, key: &str, run: RunId) {
        let Some(image) = self.by_key.get_mut(key) else { return };
        image.waiting.take_if(|waiting| *waiting == Waiting::Save(run));
        if image.call == Some(Call::Save) && image.is_saving(run) {
            image.doubt();
        }
    }

    /// The snapshot driver has answered; `is_wanted` says whether a start still is.
    pub fn answered(
        &mut self,
        key: &Key,
        answer: ImageAnswer,
        is_wanted: impl FnOnce(RunId) -> bool,
    ) -> Answered {
        let mut answered =
            Answered { saved: None, called_off: None, left_behind: None, next: Next::Nothing };
        let Some(image) = self.by_key.get_mut(key) else { return answered };
        let Some(call) = image.call.take() else { return answered };
        let start = image.waiting_start();
        answered.called_off = start.filter(|start| !is_wanted(*start));
        answered.left_behind = image.leaving.take();
        match call {
            Call::Save => answered.saved = image.save_answered(answer),
            Call::Find => {
                if answer == ImageAnswer::No && image.state == State::Saved {
                    image.state = State::None;
                }
                let is_heard = image.has_asked() && answered.called_off.is_none();
                if let Some(run) = start.filter(|_| is_heard) {
                    answered.next = image.find_answered(run, answer);
                }
            }
            Call::Restore => image.restore_answered(answer),
            Call::Drop if answer == ImageAnswer::Yes && image.is_doubtful() => {
                image.state = State::None
            }
            Call::Drop => {}
        }
        if answered.called_off.is_some() {
            image.waiting = None;
            if planted(Bug::CallingOffDrops) {
                image.doubt();
            }
        }
        if answered.next == Next::Nothing {
            answered.next = self.next(key);
        }
        answered
    }

    /// The run was restored: from now on it changes, and its image no longer matches it.
    pub fn restored(&mut self, key: &Key, run: RunId) -> Next {
        let Some(image) = self.by_key.get_mut(key) else { return Next::Nothing };
        image.waiting.take_if(|waiting| waiting.is_start_of(run));
        image.leaving.take_if(|leaving| *leaving == run);
        if image.call == Some(Call::Restore) {
            image.call = None;
            image.restore_answered(ImageAnswer::Yes);
        }
        self.next(key)
    }

    /// The start has waited for as long as it may.
    pub fn late(&mut self, key: &str, run: RunId) -> Late {
        let Some(image) = self.by_key.get_mut(key) else { return Late::Ignored };
        match image.waiting {
            Some(Waiting::Start { run: waiting, has_asked: true, .. }) if waiting == run => {
                image.doubt();
                image.waiting = Some(Waiting::Start { run, may_restore: false, has_asked: false });
                Late::Waits
            }
            Some(Waiting::Start { run: waiting, .. }) if waiting == run => {
                image.waiting = None;
                Late::Fails
            }
            _ => Late::Ignored,
        }
    }

    /// The run is over, or is in use again; `as_saved` if the image is what it was in the end.
    pub fn left(&mut self, key: &Key, run: RunId, as_saved: bool) -> Next {
        let Some(image) = self.by_key.get_mut(key) else { return Next::Nothing };
        image.waiting.take_if(|waiting| waiting.is_start_of(run) || *waiting == Waiting::Save(run));
        image.leaving.take_if(|leaving| *leaving == run);
        if image.is_saving(run) {
            image.state =
                if as_saved || planted(Bug::AnyEndCounts) { State::Saved } else { TO_BE_DROPPED };
        } else if matches!(image.state, State::Restoring { run: restored, .. } if restored == run) {
            image.doubt();
        }
        self.next(key)
    }

    /// The key has, or goes on with, a process that is no continuation of its image.
    pub fn moved_past(&mut self, key: &Key) -> Next {
        self.by_key.entry(key.clone()).or_default().doubt();
        self.next(key)
    }

    /// Another release of the key serves: `begun`, it has moved past the image. A start of the one
    /// before that waits for the snapshot driver goes on doing so, as called off.
    pub fn handed_over(&mut self, key: &Key, begun: bool) -> Next {
        if begun && !planted(Bug::ReleaseKeepsImage) {
            self.by_key.entry(key.clone()).or_default().doubt();
        }
        let Some(image) = self.by_key.get_mut(key) else { return Next::Nothing };
        if let Some(run) = image.waiting_start() {
            (image.leaving, image.waiting) = (Some(run), None);
        }
        self.next(key)
    }

    /// Whether the key's next start may continue from where it was.
    pub fn is_saved(&self, key: &str) -> bool {
        self.by_key.get(key).is_some_and(|image| image.state == State::Saved)
    }

    /// Keys whose next start may continue from where they were.
    pub fn saved(&self) -> impl Iterator<Item = &Key> {
        self.by_key.iter().filter(|(_, image)| image.state == State::Saved).map(|(key, _)| key)
    }

    /// Whether the snapshot driver is to drop the key's image, or does.
    pub fn is_being_dropped(&self, key: &str) -> bool {
        self.by_key.get(key).is_some_and(|image| image.call == Some(Call::Drop))
    }

    /// Whether this is a start that waits for the snapshot driver.
    pub fn is_awaited_by(&self, key: &str, run: RunId) -> bool {
        let image = self.by_key.get(key);
        image.is_some_and(|image| image.waiting_start() == Some(run) || image.leaving == Some(run))
    }

    /// Lets what waits for the snapshot driver go on, if that is free, and drops what is doubtful
    /// first.
    fn next(&mut self, key: &Key) -> Next {
        let Some(image) = self.by_key.get_mut(key) else { return Next::Nothing };
        if image.call.is_some() {
            if let Some(run) = image.waiting_start().filter(|_| planted(Bug::StartsBesideACall)) {
                image.waiting = None;
                return Next::StartCold(run);
            }
            return image.waiting.map_or(Next::Nothing, |waiting| Next::Await(waiting.run()));
        }
        match (image.state, image.waiting) {
            (TO_BE_DROPPED, _) if !planted(Bug::DoubtfulStays) => {
                image.state = State::Doubtful { is_due: false };
                image.call = Some(Call::Drop);
                Next::Drop { awaited_by: image.waiting.map(|waiting| waiting.run()) }
            }
            (_, Some(Waiting::Start { run, may_restore: true, .. })) => {
                image.waiting = Some(Waiting::Start { run, may_restore: true, has_asked: true });
                image.call = Some(Call::Find);
                Next::Find(run)
            }
            (_, Some(Waiting::Start { run, .. })) => {
                image.waiting = None;
                self.forget_none(key);
                Next::StartCold(run)
            }
            (state, Some(Waiting::Save(run))) => {
                let was_doubtful = matches!(state, State::Doubtful { .. });
                image.state = State::Saving { run, was_doubtful };
                (image.call, image.waiting) = (Some(Call::Save), None);
                Next::Save(run)
            }
            (_, None) => {
                self.forget_none(key);
                Next::Nothing
            }
        }
    }

    fn forget_none(&mut self, key: &str) {
        let is_none = |image: &Image| {
            image.state == State::None && image.call.is_none() && image.waiting.is_none()
        };
        if self.by_key.get(key).is_some_and(is_none) {
            self.by_key.remove(key);
        }
    }

    /// Checks what holds between the entries and the runs; `is_live` says whether a run is that
    /// key's.
    pub fn check(&self, is_live: impl Fn(&str, RunId) -> bool) -> Result<(), String> {
        for (key, image) in &self.by_key {
            let run = match (image.state, image.waiting) {
                (State::Saving { run, .. } | State::Restoring { run, .. }, _) => Some(run),
                (_, Some(Waiting::Start { run, .. } | Waiting::Save(run))) => Some(run),
                (_, None) => None,
            };
            let restores = matches!(image.state, State::Restoring { .. });
            let holds = run.is_none_or(|run| is_live(key, run))
                && image.leaving.is_none_or(|run| is_live(key, run))
                && (image.waiting.is_none() && image.leaving.is_none() || image.call.is_some())
                && (!restores || image.call == Some(Call::Restore));
            if !holds {
                return Err(format!("the image of {key}: {image:?}"));
            }
        }
        Ok(())
    }
}
