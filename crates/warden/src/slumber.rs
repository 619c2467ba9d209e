//! The sleep of one tree: no process of it runs, and its memory may be handed to swap.
//!
//! ```text
//! awake ── Sleep ─► falling ── all stand ─► asleep ── Sleep deeper ─► sinking ──► asleep
//!   ▲                  │ in time, or not       │                        │
//!   └──────────────────┴── Wake, or it stirs ──┴────────────────────────┘
//! ```
//!
//! A control group of the second version is frozen by the kernel (freezer.rs); what is not in one is
//! stopped by signals (halt.rs). The freezer of the first version is not used: what it has frozen
//! cannot be killed, so that whoever clears up after a lost host would have to thaw first.
//!
//! What was stopped by signals can be continued by anybody, itself included. It *stirs* then
//! (vigil.rs): all of it is let run, and the host is told, which may order it to sleep once more.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::getpid;

use warden::protocol::{Depth, Report};

use crate::clock;
use crate::freezer::Freezer;
use crate::group::Groups;
use crate::halt::{FALL_MS, Halted, halt};
use crate::page_out::PageOut;
use crate::tree::{Scope, descendants, stat_of};
use crate::vigil::Vigil;

/// The sleep of a keeper's tree.
pub struct Slumber {
    run: u64,
    /// Opened when the tree falls asleep first.
    freezer: Option<Freezer>,
    stage: Stage,
    /// Orders to sleep that are under way: one, unless the host is impatient.
    unanswered: usize,
}

enum Stage {
    Awake,
    /// The kernel freezes the group, until this time. It cannot freeze a process that waits in the
    /// kernel for a device or a network file system.
    Falling {
        wanted: Depth,
        due_ms: u64,
    },
    Asleep {
        depth: Depth,
        halted: Box<Halted>,
        vigil: Vigil,
        sinking: Option<PageOut>,
    },
}

impl Slumber {
    /// The tree is awake.
    pub fn of(run: u64) -> Slumber {
        Slumber { run, freezer: None, stage: Stage::Awake, unanswered: 0 }
    }

    /// Lets the tree fall asleep, or sleep deeper. What is returned, here and by the others, is to be
    /// told.
    pub fn sleep(&mut self, wanted: Depth, groups: &Groups, link: Option<&OwnedFd>) -> Vec<Report> {
        self.unanswered += 1;
        match &mut self.stage {
            Stage::Awake => {
                self.freezer = self.freezer.take().or_else(|| groups.freezer());
                if self.freezer.as_ref().is_some_and(|freezer| freezer.freeze().is_ok()) {
                    self.stage = Stage::Falling { wanted, due_ms: clock::now_ms() + FALL_MS };
                    return self.go_on(groups, link);
                }
                self.halt(wanted, groups, link)
            }
            Stage::Falling { wanted: before, .. } => {
                *before = wanted.max(*before);
                Vec::new()
            }
            Stage::Asleep { sinking: Some(_), .. } => Vec::new(),
            Stage::Asleep { depth, .. } if wanted <= *depth => self.slept(groups),
            Stage::Asleep { .. } => self.sink(groups),
        }
    }

    /// Goes on with what is under way.
    pub fn go_on(&mut self, groups: &Groups, link: Option<&OwnedFd>) -> Vec<Report> {
        if let Stage::Asleep { vigil, .. } = &mut self.stage
            && vigil.sees_it_run()
        {
            return self.stirs();
        }
        match &mut self.stage {
            Stage::Awake | Stage::Asleep { sinking: None, .. } => Vec::new(),
            Stage::Falling { wanted, due_ms } => {
                let (wanted, is_late) = (*wanted, *due_ms <= clock::now_ms());
                if self.freezer.as_ref().is_some_and(Freezer::is_frozen) {
                    return self.halt(wanted, groups, link);
                }
                if !is_late {
                    return Vec::new();
                }
                self.rouse();
                self.failed(Errno::TIMEDOUT)
            }
            Stage::Asleep { depth, sinking: Some(page_out), .. } => {
                if page_out.go_on() {
                    return Vec::new();
                }
                if page_out.has_worked() {
                    *depth = Depth::PagedOut;
                }
                self.slept(groups)
            }
        }
    }

    /// Lets the tree run, from whatever stage.
    pub fn wake(&mut self) -> Vec<Report> {
        self.rouse();
        let canceled = self.failed(Errno::CANCELED);
        canceled.into_iter().chain([Report::Awake { run: self.run }]).collect()
    }

    /// The tree runs without an order.
    fn stirs(&mut self) -> Vec<Report> {
        self.rouse();
        match self.unanswered {
            0 => vec![Report::Stirred { run: self.run }],
            // It was being paged out, and that it runs is the answer to the order to.
            _ => self.failed(Errno::INTR),
        }
    }

    /// The same as a wake, of a tree that is to end: nothing of its sleep is told any more.
    pub fn rouse(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Awake);
        if matches!(stage, Stage::Awake) {
            return;
        }
        self.freezer.iter().for_each(Freezer::thaw);
        if let Stage::Asleep { halted, vigil, .. } = stage {
            drop(vigil);
            halted.resume(whole_tree());
        }
    }

    /// The tree is killed, for which it need not run.
    pub fn give_up(&mut self) {
        self.stage = Stage::Awake;
    }

    /// What else is to be waited for.
    pub fn interest(&self) -> Option<PollFd<'_>> {
        let freezer = self.freezer.as_ref()?;
        let is_falling = matches!(self.stage, Stage::Falling { .. });
        is_falling.then(|| PollFd::from_borrowed_fd(freezer.event(), PollFlags::PRI))
    }

    /// When it goes on without an event.
    pub fn timeout_ms(&self) -> Option<u64> {
        match &self.stage {
            Stage::Falling { due_ms, .. } => Some(due_ms.saturating_sub(clock::now_ms())),
            Stage::Asleep { sinking: Some(_), .. } => Some(0),
            Stage::Asleep { vigil, .. } => vigil.remaining_ms(),
            Stage::Awake => None,
        }
    }

    /// Stops what the kernel has not frozen: without a group everything, and else what has left it.
    fn halt(&mut self, wanted: Depth, groups: &Groups, link: Option<&OwnedFd>) -> Vec<Report> {
        let freezer = self.freezer.as_ref().filter(|_| !matches!(self.stage, Stage::Awake));
        Vigil::forget_the_past();
        let halted = halt(whole_tree(), &|pid| freezer.is_some_and(|it| it.holds(pid)), link);
        match halted {
            Ok(halted) => {
                let vigil = Vigil::over(&halted.by_signal);
                let (depth, halted) = (Depth::Frozen, Box::new(halted));
                self.stage = Stage::Asleep { depth, halted, vigil, sinking: None };
                if wanted > Depth::Frozen { self.sink(groups) } else { self.slept(groups) }
            }
            Err(errno) => {
                self.rouse();
                self.failed(errno)
            }
        }
    }

    /// Begins to page out a tree that stands.
    fn sink(&mut self, groups: &Groups) -> Vec<Report> {
        if let Stage::Asleep { sinking, .. } = &mut self.stage {
            *sinking = PageOut::begin(groups.reclaim(), descendants(whole_tree()));
            if sinking.is_some() {
                return Vec::new();
            }
        }
        self.slept(groups)
    }

    fn slept(&mut self, groups: &Groups) -> Vec<Report> {
        let depth = match &mut self.stage {
            Stage::Asleep { depth, sinking, .. } => {
                *sinking = None;
                *depth
            }
            Stage::Awake | Stage::Falling { .. } => Depth::Frozen,
        };
        let rss_bytes = groups.memory_bytes().unwrap_or_else(resident_bytes);
        self.answer(Report::Slept { run: self.run, depth, rss_bytes })
    }

    fn failed(&mut self, errno: Errno) -> Vec<Report> {
        self.answer(Report::SleepFailed { run: self.run, errno: errno.raw_os_error() })
    }

    fn answer(&mut self, answer: Report) -> Vec<Report> {
        vec![answer; std::mem::take(&mut self.unanswered)]
    }
}

fn whole_tree() -> Scope<'static> {
    Scope { root: getpid(), spared: &[] }
}

/// The memory of the tree's processes in RAM.
fn resident_bytes() -> u64 {
    let stats = descendants(whole_tree()).into_iter().filter_map(stat_of);
    stats.map(|stat| stat.rss_pages).sum::<u64>() * rustix::param::page_size() as u64
}
