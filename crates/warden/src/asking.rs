//! Asking a tree to end: one `SIGTERM` to each process at most, whether from here or from its parent.
//!
//! Many programs take a second `SIGTERM` as "at once", or let go of their handler with the first and die of the second.
//! `bun run`, `npm` and their like pass theirs on, so a process gets one from here only when its parent is gone: the main
//! process at first, and when it is gone its children, which are the keeper's then, and so on.
//!
//! That leaves parents which pass it on and go before their children do, as `trap 'kill $!; exit' TERM` does. The kernel
//! tells nobody who got a signal, but it shows who has one pending. So before a process is asked that may pass it on,
//! those below it that would listen are stopped, for as long as it takes the process to react: a few milliseconds. What
//! it passes on meanwhile waits in them and is seen. (Those that do not listen need no such care: whoever of them was sent
//! one is dead.) That a process has reacted is when it, all of it, sleeps, or has had its time (`reaction.rs`). So
//! one that passes it on after it has slept is taken for one that passes nothing on, and nothing that the kernel tells of its
//! child afterwards makes a difference: a server that was passed one and one that is busy both have run since, and have their
//! handler. What is passed on later is seen only in programs that let go of their handler with the first signal, and
//! not in those that have let go of it by executing another: as a shell's child does, which holds all signals back until it
//! is the command. Then they are continued, as everybody in the main process's group is: a stopped process would hear nothing.
//!
//! All of that care has [`CARE_MS`] in all, and is dropped as soon as there is something to read on the link: a tree of
//! many that take their time must not keep its keeper from hearing that it is to be killed.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

use warden::planted::{Bug, planted};
use warden::reaction::{CARE_MS, FREEZE_MS, LOOK_MS, is_at_work};
use warden::{Disposition, Reaction, Stat};

use crate::clock;
use crate::link;
use crate::tree::{Kinship, Scope, descendants, signal_member, stat_of};

/// See the module.
pub struct Asking {
    /// Children of ours that have been asked, or that their parents have asked; each until it is reaped.
    asked: HashSet<Pid>,
    /// Who listened when a process above it was asked.
    listeners: HashMap<Pid, Listener>,
    /// What is left of [`CARE_MS`].
    care_left_ms: u64,
}

struct Listener {
    started_at_ticks: u64,
    /// Tells the program that it was then from one that it has executed since, which begins without handlers.
    stack_start: u64,
    /// The process above it has passed it on.
    was_passed_it: bool,
}

impl Asking {
    /// Asks the main process.
    pub fn of(main: Pid, link: Option<&OwnedFd>) -> Asking {
        let asked = HashSet::from([main]);
        let mut asking = Asking { asked, listeners: HashMap::new(), care_left_ms: CARE_MS };
        asking.ask(main, link);
        asking
    }

    /// The main process is gone: asks those that have become our children, but only one of them that has to be waited for.
    /// Returns whether others are left.
    pub fn go_on(&mut self, link: Option<&OwnedFd>) -> bool {
        let keeper = getpid();
        // Without a look there is another one soon.
        let children = Kinship::look(keeper).and_then(|kinship| kinship.children_of_root(keeper));
        for child in children.unwrap_or_default() {
            if !self.asked.insert(child) {
                continue;
            }
            if self.was_passed_it(child) {
                // It may have been stopped since.
                let _ = kill_process(child, Signal::CONT);
            } else if self.ask(child, link) {
                return true;
            }
        }
        false
    }

    /// The pid is free from now on.
    pub fn reaped(&mut self, pid: Pid) {
        self.asked.remove(&pid);
        self.listeners.remove(&pid);
    }

    fn was_passed_it(&self, pid: Pid) -> bool {
        let Some(disposition) = disposition_of(pid) else { return false };
        // Looked at later, so what it has executed before the one above is seen here.
        let Some(stat) = stat_of(pid) else { return false };
        let is_it = |listener: &&Listener| listener.started_at_ticks == stat.started_at_ticks;
        let Some(listener) = self.listeners.get(&pid).filter(is_it) else { return false };
        let has_let_go_of_handler = !disposition.listens && listener.stack_start == stat.stack_start;
        listener.was_passed_it || disposition.is_pending || has_let_go_of_handler
    }

    /// Sends it to a child of ours, and sees to whom it is passed on at once. Returns whether that was waited for.
    fn ask(&mut self, child: Pid, link: Option<&OwnedFd>) -> bool {
        let begun_ms = clock::now_ms();
        let care = Care { link, due_ms: begun_ms + self.care_left_ms };
        let may_pass_it_on = self.care_left_ms > 0 && disposition_of(child).is_some_and(|it| it.listens);
        let members =
            if may_pass_it_on { descendants(Scope { root: child, spared: &[] }) } else { Vec::new() };
        // Looked at in this order, so that a listener is never taken for the program that it executes next.
        let as_listener = |pid| {
            let stat = stat_of(pid)?;
            disposition_of(pid).filter(|it| it.listens && !it.has_ended()).map(|_| (pid, stat))
        };
        let listening: Vec<(Pid, Stat)> = members.iter().copied().filter_map(as_listener).collect();
        let members: HashSet<Pid> = members.into_iter().collect();
        // Those whose parents go meanwhile become ours.
        let keeper = getpid();
        let is_parent = |parent: Pid| members.contains(&parent) || parent == keeper;
        let signal = |pid, signal| signal_member(pid, child, is_parent, signal);
        for &(pid, _) in &listening {
            signal(pid, Signal::STOP);
        }
        care.await_stop(&listening);
        // Our unreaped child, so its pid is its own.
        let _ = kill_process(child, Signal::TERM);
        let _ = kill_process(child, Signal::CONT);
        if planted(Bug::TermIsSentTwice) {
            care.await_reaction(child);
            let _ = kill_process(child, Signal::TERM);
        }
        if !listening.is_empty() {
            care.await_reaction(child);
        }
        let has_waited = !listening.is_empty();
        // Parents come before their children. One that was passed it may pass it on in its turn, and those below it are
        // still stopped then.
        for (pid, stat) in listening {
            let was_passed_it = self.note(pid, stat);
            signal(pid, Signal::CONT);
            if was_passed_it {
                care.await_reaction(pid);
            }
        }
        // Fails if it leads no group.
        let _ = kill_process_group(child, Signal::CONT);
        self.care_left_ms = self.care_left_ms.saturating_sub(clock::now_ms() - begun_ms);
        has_waited
    }

    /// Returns whether it has been passed it.
    fn note(&mut self, pid: Pid, stat: Stat) -> bool {
        let is_pending = disposition_of(pid).is_some_and(|it| it.is_pending);
        let known = self.listeners.get(&pid).filter(|known| known.started_at_ticks == stat.started_at_ticks);
        let was_passed_it = is_pending || known.is_some_and(|known| known.was_passed_it);
        let Stat { started_at_ticks, stack_start, .. } = stat;
        self.listeners.insert(pid, Listener { started_at_ticks, stack_start, was_passed_it });
        was_passed_it
    }
}

/// For how long processes are waited for.
struct Care<'a> {
    /// Until there is something to read on it.
    link: Option<&'a OwnedFd>,
    due_ms: u64,
}

impl Care<'_> {
    fn await_stop(&self, processes: &[(Pid, Stat)]) {
        let due_ms = self.due_ms.min(clock::now_ms() + FREEZE_MS);
        for &(pid, _) in processes {
            while disposition_of(pid).is_some_and(|it| !it.is_frozen()) && self.goes_on(due_ms) {}
        }
    }

    /// Until the process has ended, or has taken the signal and waits for something else.
    fn await_reaction(&self, pid: Pid) {
        let mut reaction = Reaction::default();
        let look = || disposition_of(pid).zip(stat_of(pid));
        let is_at_work = || is_at_work(Path::new(""), pid);
        while self.goes_on(self.due_ms) && !reaction.is_over(look(), is_at_work) {}
    }

    /// Lets some time pass; false if there is none left, or something else to do.
    fn goes_on(&self, due_ms: u64) -> bool {
        let mut link: Vec<PollFd<'_>> =
            self.link.iter().map(|link| PollFd::new(*link, PollFlags::IN)).collect();
        link::wait(&mut link, Some(LOOK_MS));
        clock::now_ms() < due_ms && link.iter().all(|link| link.revents().is_empty())
    }
}

fn disposition_of(pid: Pid) -> Option<Disposition> {
    Disposition::read(Path::new(""), pid)
}
