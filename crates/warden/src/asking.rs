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
//! one is dead.) What is passed on later is seen only in programs that let go of their handler with the first signal.
//! Then they are continued, as everybody in the main process's group is: a stopped process would hear nothing.

use std::collections::{HashMap, HashSet};

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

use warden::planted::{Bug, planted};

use crate::clock;
use crate::disposition::Disposition;
use crate::link;
use crate::tree::{Kinship, Scope, descendants, signal_member, stat_of};

/// How long it may take until those below have stopped. They need a turn on a processor for it.
const FREEZE_MS: u64 = 200;

/// How long a process has to react while those below it are stopped. Only one that is kept busy needs it all.
const REACTION_MS: u64 = 100;

/// Between two looks at them.
const LOOK_MS: u64 = 1;

/// How often a process has to be found asleep, without having run in between, to have reacted.
const QUIET_LOOKS: u32 = 2;

/// See the module.
pub struct Asking {
    /// Children of ours that have been asked, or that their parents have asked; each until it is reaped.
    asked: HashSet<Pid>,
    /// Who listened when a process above it was asked.
    listeners: HashMap<Pid, Listener>,
}

struct Listener {
    started_at_ticks: u64,
    /// The process above it has passed it on.
    was_passed_it: bool,
}

impl Asking {
    /// Asks the main process.
    pub fn of(main: Pid) -> Asking {
        let mut asking = Asking { asked: HashSet::from([main]), listeners: HashMap::new() };
        asking.ask(main);
        asking
    }

    /// The main process is gone: asks those that have become our children.
    pub fn go_on(&mut self) {
        let keeper = getpid();
        for child in Kinship::look(keeper).children_of(keeper) {
            if !self.asked.insert(child) {
                continue;
            }
            if self.was_passed_it(child) {
                // It may have been stopped since.
                let _ = kill_process(child, Signal::CONT);
            } else {
                self.ask(child);
            }
        }
    }

    /// The pid is free from now on.
    pub fn reaped(&mut self, pid: Pid) {
        self.asked.remove(&pid);
        self.listeners.remove(&pid);
    }

    fn was_passed_it(&self, pid: Pid) -> bool {
        let is_it = |listener: &&Listener| {
            stat_of(pid).is_some_and(|stat| stat.started_at_ticks == listener.started_at_ticks)
        };
        let Some(listener) = self.listeners.get(&pid).filter(is_it) else { return false };
        listener.was_passed_it
            // It has let go of its handler.
            || Disposition::of(pid).is_some_and(|now| now.is_pending || !now.listens)
    }

    /// Sends it to a child of ours, and sees to whom it is passed on at once.
    fn ask(&mut self, child: Pid) {
        let may_pass_it_on = Disposition::of(child).is_some_and(|it| it.listens);
        let members =
            if may_pass_it_on { descendants(Scope { root: child, spared: &[] }) } else { Vec::new() };
        let listens = |pid: &Pid| Disposition::of(*pid).is_some_and(|it| it.listens && !it.has_ended());
        let listening: Vec<Pid> = members.iter().copied().filter(listens).collect();
        let members: HashSet<Pid> = members.into_iter().collect();
        let signal = |pid, signal| signal_member(pid, child, |parent| members.contains(&parent), signal);
        for &pid in &listening {
            signal(pid, Signal::STOP);
        }
        await_stop(&listening);
        // Our unreaped child, so its pid is its own.
        let _ = kill_process(child, Signal::TERM);
        let _ = kill_process(child, Signal::CONT);
        if planted(Bug::TermIsSentTwice) {
            await_reaction(child);
            let _ = kill_process(child, Signal::TERM);
        }
        if !listening.is_empty() {
            await_reaction(child);
        }
        for pid in listening {
            self.note(pid);
            signal(pid, Signal::CONT);
        }
        // Fails if it leads no group.
        let _ = kill_process_group(child, Signal::CONT);
    }

    fn note(&mut self, pid: Pid) {
        let Some(stat) = stat_of(pid) else { return };
        let is_pending = Disposition::of(pid).is_some_and(|it| it.is_pending);
        let known = self.listeners.get(&pid).filter(|known| known.started_at_ticks == stat.started_at_ticks);
        let was_passed_it = is_pending || known.is_some_and(|known| known.was_passed_it);
        self.listeners.insert(pid, Listener { started_at_ticks: stat.started_at_ticks, was_passed_it });
    }
}

fn await_stop(pids: &[Pid]) {
    let due_ms = clock::now_ms() + FREEZE_MS;
    for &pid in pids {
        while Disposition::of(pid).is_some_and(|it| !it.is_frozen()) && clock::now_ms() < due_ms {
            link::wait(&mut [], Some(LOOK_MS));
        }
    }
}

/// Until the process has ended, or has taken the signal and waits for something else.
fn await_reaction(pid: Pid) {
    let due_ms = clock::now_ms() + REACTION_MS;
    let (mut quiet_looks, mut switches) = (0, None);
    while quiet_looks < QUIET_LOOKS && clock::now_ms() < due_ms {
        link::wait(&mut [], Some(LOOK_MS));
        let Some(now) = Disposition::of(pid).filter(|it| !it.has_ended()) else { return };
        let is_quiet = now.state == b'S' && !now.is_pending && switches == Some(now.switches);
        quiet_looks = if is_quiet { quiet_looks + 1 } else { 0 };
        switches = Some(now.switches);
    }
}
