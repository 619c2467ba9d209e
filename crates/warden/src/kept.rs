//! What a surviving warden keeps for the next host: of each run the descriptors that its host has
//! handed over, how far it had come, what it writes without a host, and how it ended.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use warden::planted::{Bug, planted};
use warden::protocol::{Depth, Mark, Marks, Report, StopStage};
use warden::ring::Stream;
use warden::socket_failure::SocketFailure;

use crate::clock;
use crate::kept_run::{Files, Run};
use crate::roster::Roster;

/// How long a run that does not outlive its host has to end, as when the host of an ordinary warden
/// goes.
const LAST_GRACE_MS: u64 = 600;

/// The most ends that are kept for a host that does not take them.
const ENDED_MAX: usize = 1_000;

/// The runs and the listening sockets.
#[derive(Default)]
pub struct Kept {
    runs: BTreeMap<u64, Run>,
    listeners: BTreeMap<u64, OwnedFd>,
    forgotten: u64,
    last_run: u64,
}

/// One packet of what a new owner is told.
pub enum Item {
    /// Of this run.
    Run(u64),
    /// Of the socket in this slot.
    Listener(u64),
    /// That this was all.
    End,
}

impl Kept {
    /// Keeps a run that is about to be started.
    pub fn add(&mut self, run: u64, files: Files) {
        self.runs.insert(run, Run::of(files));
        self.last_run = self.last_run.max(run);
    }

    /// Whether a run with this number is kept.
    pub fn has(&self, run: u64) -> bool {
        self.runs.contains_key(&run)
    }

    /// The highest number of a run so far.
    pub fn last_run(&self) -> u64 {
        self.last_run
    }

    /// Notes what becomes of a run.
    pub fn note(&mut self, report: Report) {
        match report {
            Report::Started { run, pid, keeper_pid, group } => {
                if let Some(kept) = self.runs.get_mut(&run) {
                    kept.started = Some((pid, keeper_pid, group));
                }
            }
            Report::Ended { run, .. } => {
                if let Some(kept) = self.runs.get_mut(&run) {
                    kept.ends(report);
                    self.forget_oldest();
                }
            }
            Report::Slept { run, depth, .. } => self.note_sleep(run, Some(depth)),
            Report::Awake { run } | Report::Stirred { run } | Report::SleepFailed { run, .. } => {
                self.note_sleep(run, None);
            }
            // Nothing was told of the run that its host's user would wait for the end of.
            Report::LaunchFailed { run, .. } => drop(self.runs.remove(&run)),
            _ => {}
        }
    }

    fn note_sleep(&mut self, run: u64, depth: Option<Depth>) {
        if let Some(kept) = self.runs.get_mut(&run) {
            kept.marks.asleep = depth;
        }
    }

    fn forget_oldest(&mut self) {
        let ended: Vec<u64> = self.ended().map(|(run, _)| run).collect();
        for run in ended.iter().take(ended.len().saturating_sub(ENDED_MAX)) {
            self.runs.remove(run);
            self.forgotten += 1;
        }
    }

    fn ended(&self) -> impl Iterator<Item = (u64, Report)> {
        self.runs.iter().filter_map(|(run, kept)| Some((*run, kept.end?)))
    }

    /// The ends that no host has taken, as reports.
    pub fn ends(&self) -> impl Iterator<Item = Report> {
        self.ended().map(|(_, end)| end)
    }

    /// Adds a mark.
    pub fn mark(&mut self, run: u64, mark: Mark, detail: u8) {
        if let Some(kept) = self.runs.get_mut(&run) {
            kept.marks.add(mark, detail);
        }
    }

    /// Forgets a run whose end was taken.
    pub fn take(&mut self, run: u64) {
        if self.runs.get(&run).is_some_and(|kept| kept.end.is_some()) {
            self.runs.remove(&run);
        }
    }

    /// Keeps a listening socket.
    pub fn keep_listener(&mut self, slot: u64, listener: OwnedFd) {
        self.listeners.insert(slot, listener);
    }

    /// Drops one.
    pub fn drop_listener(&mut self, slot: u64) {
        self.listeners.remove(&slot);
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.listeners.is_empty()
    }

    /// How many runs there are.
    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// Whether a run has not ended.
    pub fn has_live(&self) -> bool {
        self.runs.values().any(|kept| kept.end.is_none())
    }

    /// There is no host from now on: ends the runs that do not go on without one, and begins to
    /// read what the others write. A retired run goes on only for a host that has detached, which
    /// finishes what it has.
    pub fn go_on_alone(&mut self, has_detached: bool, roster: &mut Roster) {
        if planted(Bug::UntakenEndIsForgotten) {
            self.runs.retain(|_, run| run.end.is_none());
        }
        let kill_due_ms = clock::now_ms() + LAST_GRACE_MS;
        for (number, run) in &mut self.runs {
            run.begin_to_read();
            let Marks { ready, retired, stopping, .. } = run.marks;
            let goes_on = ready && !stopping && (has_detached || !retired);
            if run.end.is_none() && !goes_on && !planted(Bug::UnfinishedOutlivesItsHost) {
                roster.stop(*number, StopStage::Terminate);
                run.kill_due_ms.get_or_insert(kill_due_ms);
            }
        }
    }

    /// Asks all runs to end.
    pub fn ask_all(&self, roster: &mut Roster) {
        self.runs.keys().for_each(|run| roster.stop(*run, StopStage::Terminate));
    }

    /// Kills the runs whose time is up.
    pub fn kill_late(&mut self, roster: &mut Roster) {
        let now_ms = clock::now_ms();
        for (number, run) in &mut self.runs {
            if run.kill_due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
                run.kill_due_ms = None;
                roster.stop(*number, StopStage::Kill);
            }
        }
    }

    /// When the next run is killed.
    pub fn due_ms(&self) -> Option<u64> {
        self.runs.values().filter_map(|kept| kept.kill_due_ms).min()
    }

    /// The pipes to read while there is no owner.
    pub fn pipes(&self) -> impl Iterator<Item = (u64, Stream, BorrowedFd<'_>)> {
        self.runs
            .iter()
            .flat_map(|(run, kept)| kept.open_pipes().map(|(stream, pipe)| (*run, stream, pipe)))
    }

    /// Reads a pipe.
    pub fn read(&mut self, run: u64, stream: Stream) {
        if let Some(kept) = self.runs.get_mut(&run) {
            kept.read(stream);
        }
    }

    /// All that a new owner is told.
    pub fn items(&self) -> VecDeque<Item> {
        let runs = self.runs.keys().copied().map(Item::Run);
        runs.chain(self.listeners.keys().copied().map(Item::Listener)).chain([Item::End]).collect()
    }

    /// Hands one of these over by `send`; nothing is sent of what is gone meanwhile.
    pub fn hand_over(
        &mut self,
        item: &Item,
        send: impl FnOnce(Report, &[BorrowedFd<'_>]) -> Result<(), SocketFailure>,
    ) -> Result<(), SocketFailure> {
        match *item {
            Item::Run(run) => match self.runs.get_mut(&run) {
                Some(kept) => kept.hand_over(run, send),
                None => Ok(()),
            },
            Item::Listener(slot) => match self.listeners.get(&slot) {
                Some(listener) => send(Report::FoundListener { slot }, &[listener.as_fd()]),
                None => Ok(()),
            },
            Item::End => {
                send(Report::RosterEnd { forgotten: self.forgotten }, &[])?;
                self.forgotten = 0;
                Ok(())
            }
        }
    }
}
