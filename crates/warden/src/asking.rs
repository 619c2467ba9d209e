//! Asks a tree to end: each process gets at most one `SIGTERM`, whether from here or from its
//! parent.
//!
//! Many programs take a second `SIGTERM` as "at once", or drop their handler with the first and
//! die of the second. Wrappers such as `bun run` and `npm` pass theirs on to their children. So a
//! process is asked from here only when its parent is gone: the main process first; when it is
//! gone its children, which have become the keeper's; and so on.
//!
//! Some parents pass the signal on and end before their children do, as `trap 'kill $!; exit'
//! TERM` does. The kernel does not tell which processes were sent a signal, but it shows which
//! have one pending. So before a process is asked that may pass the signal on, the processes below
//! it that would handle it are stopped for the few milliseconds in which it reacts. A signal that
//! it passes on stays pending in them and is seen. (Processes that would not handle it need not be
//! stopped: one that was sent the signal is dead.) Afterwards they are continued, as is the main
//! process's whole group: a stopped process would not receive its signal.
//!
//! A process has reacted when all of its threads sleep, or when its time is up (`reaction.rs`). A
//! process that passes the signal on after it has slept is taken for one that does not pass it on.
//! What the kernel shows of its child later cannot correct that: a server that was passed the
//! signal and a busy one have both run since, and both have their handler. A signal that is passed
//! on late is seen only in programs that drop their handler with the first one. A program that
//! dropped its handler by executing another program does not count as such: a shell's child does
//! that, which blocks all signals until it is the command. Nor does one that only unblocks the
//! signal: the shell itself blocks all signals until its child has executed the command.
//!
//! All of this waiting has [`WAIT_BUDGET_MS`] in all, and ends as soon as there is something to
//! read on the link: a tree with many slow processes must not keep its keeper from reading that it
//! is to be killed.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

use warden::planted::{Bug, planted};
use warden::reaction::{FREEZE_MS, LOOK_MS, WAIT_BUDGET_MS, is_at_work};
use warden::{Disposition, Reaction};

use crate::clock;
use crate::link;
use crate::tree::{Kinship, Scope, descendants, signal_member, stat_of};

/// The state of asking a tree to end. Dropping it does nothing.
pub struct Asking {
    /// Children of the keeper that were asked from here or by their former parents; each until it
    /// is reaped.
    asked: HashSet<Pid>,
    /// Processes that would handle the signal when a process above them was asked.
    listeners: HashMap<Pid, Listener>,
    /// What is left of [`WAIT_BUDGET_MS`].
    budget_left_ms: u64,
}

struct Listener {
    started_at_ticks: u64,
    /// Where the stack of its program began, if that had a handler: differs once it has executed
    /// another program, which begins without handlers.
    stack_start: Option<u64>,
    /// The process above has passed the signal on to it.
    was_passed_it: bool,
}

impl Asking {
    /// Begins with the main process.
    pub fn of(main: Pid, link: Option<&OwnedFd>) -> Asking {
        let asked = HashSet::from([main]);
        let mut asking =
            Asking { asked, listeners: HashMap::new(), budget_left_ms: WAIT_BUDGET_MS };
        asking.ask(main, link);
        asking
    }

    /// To be called when the main process is gone: asks the processes that have become the
    /// keeper's children, up to the first that has to be waited for. Returns whether others are
    /// left to be asked.
    pub fn go_on(&mut self, link: Option<&OwnedFd>) -> bool {
        let keeper = getpid();
        // If the look fails, another one follows soon.
        let children = Kinship::look(keeper).and_then(|kinship| kinship.children_of_root(keeper));
        for child in children.unwrap_or_default() {
            if !self.asked.insert(child) {
                continue;
            }
            if self.was_passed_it(child) {
                // The child may have been stopped since.
                let _ = kill_process(child, Signal::CONT);
            } else if self.ask(child, link) {
                return true;
            }
        }
        false
    }

    /// Forgets a reaped child: its pid may be reused from now on.
    pub fn reaped(&mut self, pid: Pid) {
        self.asked.remove(&pid);
        self.listeners.remove(&pid);
    }

    fn was_passed_it(&self, pid: Pid) -> bool {
        let Some(disposition) = disposition_of(pid) else { return false };
        // Read after the disposition, so that a program executed in between is seen here.
        let Some(stat) = stat_of(pid) else { return false };
        let is_it = |listener: &&Listener| listener.started_at_ticks == stat.started_at_ticks;
        let Some(listener) = self.listeners.get(&pid).filter(is_it) else { return false };
        let has_dropped_handler =
            !disposition.listens && listener.stack_start == Some(stat.stack_start);
        listener.was_passed_it || disposition.is_pending || has_dropped_handler
    }

    /// Sends `SIGTERM` to a child of the keeper, and notes to which processes it is passed on at
    /// once. Returns whether that had to be waited for.
    fn ask(&mut self, child: Pid, link: Option<&OwnedFd>) -> bool {
        let begun_ms = clock::now_ms();
        let budget = WaitBudget { link, due_ms: begun_ms + self.budget_left_ms };
        let may_pass_it_on =
            self.budget_left_ms > 0 && disposition_of(child).is_some_and(|it| it.listens);
        let members = if may_pass_it_on {
            descendants(Scope { root: child, spared: &[] })
        } else {
            Vec::new()
        };
        // Read in this order, so that the disposition of a former program is never taken for that
        // of the next one.
        let as_listener = |pid| {
            let stat = stat_of(pid)?;
            let disposition = disposition_of(pid).filter(|it| it.listens && !it.has_ended())?;
            let stack_start = disposition.catches.then_some(stat.stack_start);
            let started_at_ticks = stat.started_at_ticks;
            Some((pid, Listener { started_at_ticks, stack_start, was_passed_it: false }))
        };
        let listening: Vec<(Pid, Listener)> =
            members.iter().copied().filter_map(as_listener).collect();
        let members: HashSet<Pid> = members.into_iter().collect();
        // Processes whose parents end meanwhile become the keeper's children.
        let keeper = getpid();
        let is_parent = |parent: Pid| members.contains(&parent) || parent == keeper;
        let signal = |pid, signal| signal_member(pid, child, is_parent, signal);
        for (pid, _) in &listening {
            signal(*pid, Signal::STOP);
        }
        budget.await_stop(&listening);
        // An unreaped child of this process, so its pid was not reused.
        let _ = kill_process(child, Signal::TERM);
        let _ = kill_process(child, Signal::CONT);
        if planted(Bug::TermIsSentTwice) {
            budget.await_reaction(child);
            let _ = kill_process(child, Signal::TERM);
        }
        if !listening.is_empty() {
            budget.await_reaction(child);
        }
        let has_waited = !listening.is_empty();
        // Parents come before their children: a process that was passed the signal may pass it on
        // in turn while those below it are still stopped.
        for (pid, listener) in listening {
            let was_passed_it = self.note(pid, listener);
            signal(pid, Signal::CONT);
            if was_passed_it {
                budget.await_reaction(pid);
            }
        }
        // Fails if the child leads no group.
        let _ = kill_process_group(child, Signal::CONT);
        self.budget_left_ms = self.budget_left_ms.saturating_sub(clock::now_ms() - begun_ms);
        has_waited
    }

    /// Notes a process that would handle the signal. Returns whether it was passed on to it.
    fn note(&mut self, pid: Pid, mut listener: Listener) -> bool {
        let is_it = |known: &&Listener| known.started_at_ticks == listener.started_at_ticks;
        let known = self.listeners.get(&pid).filter(is_it);
        listener.was_passed_it = disposition_of(pid).is_some_and(|it| it.is_pending)
            || known.is_some_and(|known| known.was_passed_it);
        let was_passed_it = listener.was_passed_it;
        self.listeners.insert(pid, listener);
        was_passed_it
    }
}

/// The time for waiting, of which the reactions of one process take a part.
struct WaitBudget<'a> {
    /// Waiting ends once there is something to read here.
    link: Option<&'a OwnedFd>,
    due_ms: u64,
}

impl WaitBudget<'_> {
    fn await_stop(&self, processes: &[(Pid, Listener)]) {
        let due_ms = self.due_ms.min(clock::now_ms() + FREEZE_MS);
        for (pid, _) in processes {
            while disposition_of(*pid).is_some_and(|it| !it.is_frozen()) && self.pause(due_ms) {}
        }
    }

    /// Waits until the process has ended, or has taken the signal and waits for something else.
    fn await_reaction(&self, pid: Pid) {
        let mut reaction = Reaction::default();
        let look = || disposition_of(pid).zip(stat_of(pid));
        let is_at_work = || is_at_work(Path::new(""), pid);
        while self.pause(self.due_ms) && !reaction.is_over(look(), is_at_work) {}
    }

    /// Waits for one look's time; false if the time is up, or there is something to read on the
    /// link.
    fn pause(&self, due_ms: u64) -> bool {
        let mut link: Vec<PollFd<'_>> =
            self.link.iter().map(|link| PollFd::new(*link, PollFlags::IN)).collect();
        link::wait(&mut link, Some(LOOK_MS));
        clock::now_ms() < due_ms && link.iter().all(|link| link.revents().is_empty())
    }
}

fn disposition_of(pid: Pid) -> Option<Disposition> {
    Disposition::read(Path::new(""), pid)
}
