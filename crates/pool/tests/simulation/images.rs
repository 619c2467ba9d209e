//! What the snapshot driver has, and what must hold of it.

use super::book::{Book, RunRecord};
use super::properties::{Verdict, holds};
use super::world::{key_index, key_name};
use pool::{Action, Event, ExitReason, ImageAnswer, RunId};
use std::collections::BTreeMap;

/// What the snapshot driver has of a key, and does for it.
#[derive(Debug, Default)]
pub struct ImageRecord {
    pub there: Option<Image>,
    pub call: Option<Call>,
    /// The last run of the key that had a process.
    pub last_process: Option<RunId>,
    /// What waits for an answer, and which of the key's waits that is. A called-off start of the
    /// release before may wait beside one of the release that serves.
    pub waiting: BTreeMap<RunId, u64>,
    pub waits: u64,
}

#[derive(Debug)]
pub struct Image {
    /// `None`: of an earlier host.
    of: Option<RunId>,
    /// It was there in time.
    is_whole: bool,
    /// The pool had it restored.
    was_restored: bool,
    /// The pool has a reason not to trust it: a restart, or a snapshot driver that could not say
    /// whether it is there.
    is_distrusted: bool,
    drop_has_failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Save { run: RunId, is_late: bool },
    Find(RunId),
    Restore { run: RunId, is_late: bool },
    Drop,
}

impl Image {
    pub fn new(of: Option<RunId>, is_whole: bool) -> Self {
        Image { of, is_whole, was_restored: false, is_distrusted: false, drop_has_failed: false }
    }
}

impl Book {
    /// Whether the key's image is what its last process was in the end.
    fn is_trusted(&self, key: usize) -> bool {
        let ImageRecord { there: Some(image), last_process, .. } = &self.images[key] else {
            return false;
        };
        let was_saved = |run: RunId| {
            let run = self.run(run);
            run.is_some_and(|run| run.over && run.cause == Some(ExitReason::Checkpointed))
        };
        let is_last = image.of == *last_process && image.of.is_none_or(was_saved);
        is_last && image.is_whole && !image.was_restored && !image.is_distrusted
    }

    /// Whether it is known that the key's next start may continue from an image.
    pub fn is_saved(&self, key: usize) -> bool {
        self.images[key].last_process.is_some() && self.is_trusted(key)
    }

    /// Of a start that is still wanted.
    fn distrusts(&mut self, key: usize, run: RunId) {
        let is_wanted = self.run(run).is_some_and(RunRecord::is_coming_up);
        if let Some(image) = self.images[key].there.as_mut().filter(|_| is_wanted) {
            image.is_distrusted = true;
        }
    }

    /// The run is of another release than the image.
    pub fn leaves_image_behind(&mut self, key: usize, id: RunId) {
        if self.run(id).is_some_and(|run| run.started) {
            self.images[key].last_process = Some(id);
        }
        if let Some(image) = &mut self.images[key].there {
            image.is_distrusted = true;
        }
    }

    /// What is heard of the snapshot driver; before the pool hears of it. Returns whose save that
    /// ends.
    pub fn image_answered(&mut self, key: usize, answer: ImageAnswer) -> Option<(RunId, bool)> {
        let call = self.images[key].call.take()?;
        self.images[key].waiting.clear();
        match call {
            Call::Save { run, is_late } => {
                let is_whole = answer == ImageAnswer::Yes && !is_late;
                if answer != ImageAnswer::No {
                    self.images[key].there = Some(Image::new(Some(run), is_whole));
                }
                return Some((run, is_whole)).filter(|_| !is_late);
            }
            Call::Find(_) if answer == ImageAnswer::No => self.images[key].there = None,
            Call::Find(run) if answer == ImageAnswer::Failed => self.distrusts(key, run),
            Call::Restore { .. } if answer == ImageAnswer::No => {
                if let Some(image) = &mut self.images[key].there {
                    image.was_restored = false;
                }
            }
            Call::Find(_) | Call::Restore { .. } => {}
            Call::Drop if answer == ImageAnswer::Yes => self.images[key].there = None,
            Call::Drop => {
                if let Some(image) = &mut self.images[key].there {
                    image.drop_has_failed = true;
                }
            }
        }
        None
    }

    /// The pool waits no longer for the run to be saved.
    pub fn save_is_late(&mut self, saved: RunId) {
        let key = self.run(saved).expect("it was being saved").key;
        if let Some(Call::Save { run, is_late }) = &mut self.images[key].call
            && *run == saved
        {
            *is_late = true;
        }
    }

    /// A start has waited for too long; before the pool hears of it. Returns whether that ends it.
    pub fn image_is_late(&mut self, id: RunId) -> bool {
        let run = self.run_mut(id).expect("a live run");
        let is_coming_up = run.is_coming_up();
        let (key, was_late) = (run.key, std::mem::replace(&mut run.was_late, true));
        let has_asked = match &mut self.images[key].call {
            Some(Call::Restore { run, is_late }) if *run == id => {
                *is_late = true;
                true
            }
            Some(Call::Find(run)) => *run == id,
            _ => false,
        };
        if has_asked {
            self.distrusts(key, id);
        }
        !is_coming_up || was_late || !has_asked
    }

    /// After the properties have looked at it.
    pub fn image_action(&mut self, action: &Action) {
        match action {
            Action::Start { run, key, cold: false, .. } => {
                let record = &self.keys[key_index(key)];
                let is_fresh = record.restarts + record.deploys > 0;
                if is_fresh {
                    self.distrusts(key_index(key), *run);
                }
            }
            Action::Checkpoint { run } => {
                let key = self.run(*run).expect("it is saved").key;
                self.images[key].call = Some(Call::Save { run: *run, is_late: false });
            }
            Action::FindImage { run, key } => {
                self.images[key_index(key)].call = Some(Call::Find(*run))
            }
            Action::RestoreImage { run, key, .. } => {
                let record = &mut self.images[key_index(key)];
                record.call = Some(Call::Restore { run: *run, is_late: false });
                if let Some(image) = &mut record.there {
                    image.was_restored = true;
                }
            }
            Action::DropImage { key } => self.images[key_index(key)].call = Some(Call::Drop),
            _ => {}
        }
    }
}

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, action: &Action) -> Verdict {
    match action {
        Action::FindImage { key, .. } => {
            the_snapshot_driver_does_one_thing_at_a_time(book, key_index(key))
        }
        Action::RestoreImage { run, key, is_ours } => {
            let key = key_index(key);
            the_snapshot_driver_does_one_thing_at_a_time(book, key)?;
            each_image_is_restored_once(book, key)?;
            only_a_trusted_image_is_restored(book, key)?;
            what_begins_is_wanted(book, *run)?;
            let known = book.images[key].last_process.is_some();
            holds(*is_ours == known, || format!("the port of {} is known: {known}", key_name(key)))
        }
        Action::DropImage { key } => {
            the_snapshot_driver_does_one_thing_at_a_time(book, key_index(key))?;
            a_trusted_image_is_not_dropped(book, key_index(key))
        }
        Action::Checkpoint { run } => {
            let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
            the_snapshot_driver_does_one_thing_at_a_time(book, run.key)?;
            a_doubtful_image_is_dropped_before_the_next_save(book, run.key)
        }
        Action::StartCold { run } => {
            let Some(record) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
            nothing_starts_beside_the_snapshot_driver(book, record.key)?;
            a_doubtful_image_is_dropped_before_a_cold_start(book, record.key)?;
            what_begins_is_wanted(book, *run)
        }
        // What comes up beside the tenant does so without an image.
        Action::Start { key, cold, .. } => {
            let is_beside = book.keys[key_index(key)].live.is_some();
            let saves = book.config.checkpoint_timeout_ms.is_some() && !is_beside;
            holds(*cold != saves, || format!("{action:?}, and images matter: {saves}"))
        }
        Action::Release { run, keeps_port } => {
            let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
            the_port_of_what_is_saved_is_kept(book, run, *keeps_port)
        }
        Action::Emit(Event::Restored { run, .. }) => {
            let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
            what_is_restored_is_about_to_be_dropped(book, run.key)
        }
        _ => Ok(()),
    }
}

fn the_snapshot_driver_does_one_thing_at_a_time(book: &Book, key: usize) -> Verdict {
    let call = book.images[key].call;
    holds(call.is_none(), || format!("the snapshot driver has {} in hand: {call:?}", key_name(key)))
}

fn nothing_starts_beside_the_snapshot_driver(book: &Book, key: usize) -> Verdict {
    the_snapshot_driver_does_one_thing_at_a_time(book, key)
}

/// An image is of the key's last process, which ended with it; or of an earlier host, and nothing
/// has run since.
fn only_a_trusted_image_is_restored(book: &Book, key: usize) -> Verdict {
    holds(book.is_trusted(key), || format!("{} is restored: {:?}", key_name(key), book.images[key]))
}

/// Whatever came of it.
fn each_image_is_restored_once(book: &Book, key: usize) -> Verdict {
    let again = book.images[key].there.as_ref().is_some_and(|image| image.was_restored);
    holds(!again, || format!("the image of {} is restored again", key_name(key)))
}

/// Where JavaScript is gone nothing is dropped any more, whatever is said.
fn a_trusted_image_is_not_dropped(book: &Book, key: usize) -> Verdict {
    holds(!book.is_trusted(key) || book.abandoned_ms.is_some(), || {
        format!("{} is dropped: {:?}", key_name(key), book.images[key])
    })
}

fn a_doubtful_image_is_dropped_before_the_next_save(book: &Book, key: usize) -> Verdict {
    what_is_there_could_not_be_dropped(book, key)
}

fn a_doubtful_image_is_dropped_before_a_cold_start(book: &Book, key: usize) -> Verdict {
    what_is_there_could_not_be_dropped(book, key)
}

fn what_is_there_could_not_be_dropped(book: &Book, key: usize) -> Verdict {
    let untried = book.images[key].there.as_ref().filter(|image| !image.drop_has_failed);
    holds(untried.is_none(), || {
        format!("{} has an image that should be gone: {untried:?}", key_name(key))
    })
}

/// It is done as soon as it is told.
fn what_is_restored_is_about_to_be_dropped(book: &Book, key: usize) -> Verdict {
    let call = book.images[key].call;
    holds(call == Some(Call::Drop), || {
        format!("{} is restored, and its image stays", key_name(key))
    })
}

fn what_begins_is_wanted(book: &Book, run: RunId) -> Verdict {
    let run = book.run(run);
    let is_wanted = run.is_some_and(|run| run.is_coming_up() && !run.started);
    holds(is_wanted, || format!("{run:?} is not to be started"))
}

fn the_port_of_what_is_saved_is_kept(book: &Book, run: &RunRecord, keeps_port: bool) -> Verdict {
    let key = run.key;
    let saved = book.is_saved(key) && !run.ended_beside;
    holds(keeps_port == saved, || {
        format!("the port of {} is kept: {keeps_port}; {:?}", key_name(key), book.images[key])
    })
}
