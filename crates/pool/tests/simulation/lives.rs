//! Hosts that come and go: each life of a host has a pool of its own, and the processes of one that
//! was lost, or has left, live on and are handed to the next.

use super::book::{Ask, Book, RunRecord};
use super::delays::Delays;
use super::leases::SharedLeases;
use super::properties::{Verdict, holds};
use super::rules::Rules;
use super::world::{Happening, World, after_ms};
use pool::{
    Action, CallId, Event, Exit, ExitReason, Fact, Input, Leases, Part, Pool, Recovered, RunId,
};
use std::collections::BTreeMap;

/// How soon the warden kills what its host was ending.
const ENDED_WITHIN_MS: u64 = 600;
/// Processes of one life have numbers of their own.
const PIDS_OF_A_LIFE: u32 = 1_000;

/// What is known over all lives.
pub struct Lives {
    losses_left: u64,
    /// The host is lost, or leaves, when so many steps have been taken in its life.
    lost_at_step: Option<u64>,
    life: u32,
    /// The call of `detach` of the host that leaves.
    leaving: Option<CallId>,
    /// The processes of this life's runs.
    pids: BTreeMap<RunId, u32>,
    processes: BTreeMap<u32, Process>,
    /// What was found, by its number.
    left: Vec<Left>,
    /// What was let go and has ended since.
    ended: BTreeMap<RunId, End>,
}

#[derive(Default)]
struct Process {
    exits: u32,
    cpu_ms: u64,
    /// Nobody could tell of its end.
    is_excused: bool,
}

/// When a process ends, and how.
type End = (u64, Exit);

/// A process without a host.
#[derive(Clone)]
struct Left {
    key: usize,
    process: Recovered,
    end: Option<End>,
}

impl Lives {
    pub fn new(rules: &Rules) -> Self {
        Lives {
            losses_left: rules.losses,
            lost_at_step: rules.lost_at_step,
            life: 0,
            leaving: None,
            pids: BTreeMap::new(),
            processes: BTreeMap::new(),
            left: Vec::new(),
            ended: BTreeMap::new(),
        }
    }

    pub fn no_more_losses(&mut self) {
        self.losses_left = 0;
    }

    pub fn new_pid(&self, run: RunId) -> u32 {
        PIDS_OF_A_LIFE * (self.life + 1) + run.0 as u32
    }

    /// Of each process one beginning is told before all else, by each host, and one exit in all;
    /// its CPU time never falls.
    pub fn of_action(&mut self, action: &Action) -> Verdict {
        let event = match action {
            Action::Emit(event) => event,
            // An abandoned pool tells of nothing that had ended when it was found.
            Action::Release { run, .. } => {
                let excuse = |process: &mut Process| process.is_excused = true;
                self.process_of(*run).into_iter().for_each(excuse);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match event {
            Event::Spawn { run, pid, .. } => {
                self.pids.insert(*run, *pid);
                let before = self.processes.insert(*pid, Process::default());
                holds(before.is_none(), || format!("process {pid} begins twice"))
            }
            Event::Recover { run, pid, .. } => {
                self.pids.insert(*run, *pid);
                let process = self.processes.entry(*pid).or_default();
                holds(process.exits == 0, || format!("process {pid} is recovered after its exit"))
            }
            Event::Exit { run, .. } => {
                let Some(process) = self.process_of(*run) else { return Ok(()) };
                process.exits += 1;
                let exits = process.exits;
                holds(exits == 1, || format!("{exits} exits of {run:?}"))
            }
            Event::Observation { run, cpu_ms, .. } => {
                let Some(process) = self.process_of(*run) else { return Ok(()) };
                let before_ms = std::mem::replace(&mut process.cpu_ms, *cpu_ms);
                holds(before_ms <= *cpu_ms, || {
                    format!("the CPU time of {run:?} falls from {before_ms} to {cpu_ms}")
                })
            }
            _ => Ok(()),
        }
    }

    fn process_of(&mut self, run: RunId) -> Option<&mut Process> {
        self.processes.get_mut(self.pids.get(&run)?)
    }

    /// At the end of the story.
    pub fn every_process_has_one_exit(&self) -> Verdict {
        let untold =
            self.processes.iter().find(|(_, process)| process.exits != 1 && !process.is_excused);
        holds(untold.is_none() || self.life == 0, || {
            format!("{} has no exit", untold.expect("just seen").0)
        })
    }
}

impl World<'_> {
    /// After each step.
    pub fn hosts_come_and_go(&mut self) -> Verdict {
        if let Some(call) = self.lives.leaving
            && self.book.calls[call as usize].settled
        {
            let unsettled = self.book.unsettled;
            holds(unsettled == 0, || format!("{unsettled} calls wait, and the host has left"))?;
            return self.another_host_comes(true);
        }
        if self.lives.losses_left == 0 {
            return Ok(());
        }
        let rng = &mut self.rng;
        let lost_at_step = *self.lives.lost_at_step.get_or_insert_with(|| rng.between(1, 60));
        if self.book.step < lost_at_step {
            return Ok(());
        }
        (self.lives.lost_at_step, self.lives.losses_left) = (None, self.lives.losses_left - 1);
        if self.lives.leaving.is_some() || self.rng.chance(60) {
            return self.another_host_comes(false);
        }
        self.lives.leaving = Some(self.book.calls.len() as CallId);
        self.call(Ask::Detach, 0)
    }

    /// Another host comes, soon or late, or too late.
    fn another_host_comes(&mut self, has_left: bool) -> Verdict {
        self.log.note(after_ms(self.book.now), || {
            format!("== the host is gone, it has left: {has_left}")
        });
        let mut left = self.what_is_left(has_left);
        let from_ms = self.book.now.wall_ms;
        let gap_ms = if self.rng.chance(50) { self.rng.delay_ms() } else { self.rng.below(900) };
        self.move_clock(self.now_ms() + gap_ms);
        if self.rng.chance(5) {
            for one in left.drain(..) {
                self.lives.processes.entry(one.process.pid).or_default().is_excused = true;
            }
        }
        self.begin_life(left, from_ms, has_left)
    }

    fn begin_life(&mut self, left: Vec<Left>, from_ms: u64, has_left: bool) -> Verdict {
        (self.lives.life, self.lives.leaving) = (self.lives.life + 1, None);
        self.lives.pids.clear();
        self.lives.ended.clear();
        let mut config = self.book.config.clone();
        let (max, drain_ms) = (config.max_concurrent, self.book.drain_ms);
        config.max_concurrent = self.rng.pick(&[max, max, max, 1, 3, 6]);
        let now = self.book.now;
        self.pool = Pool::new(config.clone());
        self.book = Book::new(config, self.keys.len(), now);
        self.leases = SharedLeases::new(self.rng.split(), self.faults.races);
        self.leases.wall_ms = now.wall_ms;
        self.leases.used_when_opened = has_left && self.rng.chance(50);
        self.held.fill(None);
        self.hung.clear();
        self.watched.clear();
        self.orders.clear();
        if self.rng.chance(30) {
            self.handle(Input::Absent { from_ms, to_ms: now.wall_ms })?;
        }
        let ms = self.rng.pick(&[drain_ms, drain_ms, 5, 200]);
        self.handle(Input::DrainTime { ms })?;
        let mut left = self.in_order_of_recovery(left);
        // A host may be lost while it recovers.
        let is_cut = self.lives.losses_left > 0 && self.rng.chance(12);
        let fed = if is_cut { self.rng.below(left.len() as u64 + 1) as usize } else { left.len() };
        let unfed = left.split_off(fed);
        self.lives.left = left.clone();
        for (index, one) in left.into_iter().enumerate() {
            let process = Box::new(Recovered { found: index as u64, ..one.process });
            self.handle(Input::Recover { key: self.key(one.key), process })?;
        }
        self.leases.used_when_opened = false;
        if !is_cut {
            return Ok(());
        }
        self.lives.losses_left -= 1;
        let mut left = self.what_is_left(false);
        left.extend(unfed);
        let from_ms = self.book.now.wall_ms;
        self.begin_life(left, from_ms, false)
    }

    /// Those that end come first.
    fn in_order_of_recovery(&mut self, mut left: Vec<Left>) -> Vec<Left> {
        let now_ms = self.now_ms();
        for one in &mut left {
            let has_ended = one.end.as_ref().is_some_and(|(at_ms, _)| *at_ms <= now_ms);
            one.process.part = match one.process.part {
                Part::Ends { reason, .. } if has_ended => Part::HasEnded { reason: Some(reason) },
                Part::Serves | Part::Retires { .. } if has_ended => Part::HasEnded { reason: None },
                part => part,
            };
        }
        for last in (1..left.len()).rev() {
            let other = self.rng.below(last as u64 + 1) as usize;
            left.swap(last, other);
        }
        left.sort_by_key(|one| matches!(one.process.part, Part::Serves | Part::Retires { .. }));
        left
    }

    /// The processes of the host that is gone. What it had planned goes with it; what is asked of
    /// the next one stays.
    fn what_is_left(&mut self, has_left: bool) -> Vec<Left> {
        let mut ends: BTreeMap<RunId, End> = std::mem::take(&mut self.lives.ended);
        let mut launched: BTreeMap<RunId, u32> = BTreeMap::new();
        let mut stays = Vec::new();
        let mut planned = std::mem::take(&mut self.agenda).into_sorted_vec();
        // The latest comes first in a sorted vector of `Reverse`.
        planned.reverse();
        for entry in planned {
            match entry.0.happening {
                Happening::Fact(run, Fact::Exited(exit)) => {
                    ends.entry(run).or_insert((entry.0.at_ms, exit));
                }
                Happening::Fact(run, Fact::Started { pid, .. }) => {
                    launched.insert(run, pid);
                }
                Happening::Call(..)
                | Happening::QuickEnsure(_)
                | Happening::Touch(_)
                | Happening::Knock(_)
                | Happening::Pressure(_)
                | Happening::Use(..)
                | Happening::ClearBackoff(_)
                | Happening::Warm(_)
                | Happening::Drain
                | Happening::Abandon
                | Happening::Absence(_) => stays.push(entry),
                _ => {}
            }
        }
        self.agenda = stays.into();
        let ids: Vec<RunId> = self.book.runs.iter().map(|run| run.id).collect();
        ids.into_iter()
            .filter_map(|id| self.left_of(id, has_left, ends.remove(&id), launched.get(&id)))
            .collect()
    }

    fn left_of(
        &mut self,
        id: RunId,
        has_left: bool,
        end: Option<End>,
        launched: Option<&u32>,
    ) -> Option<Left> {
        let now_ms = self.now_ms();
        let (is_lucky, ends_after_ms, exit) =
            (self.rng.chance(50), self.rng.below(ENDED_WITHIN_MS), self.exit());
        let is_unmarked = self.rng.chance(20);
        let run = self.book.run(id).filter(|run| !run.over || run.let_go)?;
        // Its launch may not have come to the warden.
        let may_have_begun = run.started || (is_lucky && launched.is_some());
        if !may_have_begun {
            return None;
        }
        let part = self.part_of(run, has_left, is_unmarked);
        let end = match part {
            Part::Ends { .. } => end.or(Some((now_ms + ends_after_ms, exit))),
            Part::HasEnded { .. } => end.or(Some((now_ms, exit))),
            _ => end,
        };
        let ready_for_ms = run.ready.then(|| now_ms - run.ready_ms + run.ready_before_ms);
        let has_lease = run.ready && !run.was_ending && !run.is_found_dead;
        let touched_at_ms =
            if has_lease { self.leases.touched(id).at_ms } else { self.book.now.wall_ms };
        let pid = self.lives.pids.get(&id).or(launched).copied()?;
        let process = Recovered {
            found: 0,
            pid,
            port: 4_000,
            release: run.release,
            touched_at_ms,
            ready_for_ms,
            cpu_ms: run.cpu_ms,
            rules: run.rules.unwrap_or_default(),
            part,
        };
        Some(Left { key: run.key, process, end })
    }

    /// The host before may not have come to marking a tenant as retired.
    fn part_of(&self, run: &RunRecord, has_left: bool, is_unmarked: bool) -> Part {
        let is_tenant = run.ready && run.stop.is_none();
        let for_ms =
            run.retired.map(|(at_ms, for_ms)| (at_ms + for_ms).saturating_sub(self.now_ms()));
        match for_ms {
            _ if run.is_found_dead => Part::HasEnded { reason: run.cause },
            Some(_) if is_tenant && is_unmarked => Part::Serves,
            Some(for_ms) if is_tenant && has_left => Part::Retires { for_ms },
            None if is_tenant || run.ends_by_itself => Part::Serves,
            _ => {
                let by_release = run.retired.map_or(ExitReason::Killed, |_| ExitReason::Replaced);
                let reason = run.cause.unwrap_or(by_release);
                Part::Ends { reason, within_ms: ENDED_WITHIN_MS }
            }
        }
    }

    /// A process that was found goes on to its end.
    pub(super) fn found(&mut self, run: RunId, process: &Recovered) {
        let (now_ms, end) = (self.now_ms(), self.lives.left[process.found as usize].end.clone());
        match end {
            Some((at_ms, exit)) if at_ms > now_ms => {
                self.plan_fact(at_ms - now_ms, run, Fact::Exited(exit))
            }
            Some((_, exit)) => {
                let after_ms = self.rng.delay_ms();
                self.plan_fact(after_ms, run, Fact::Exited(exit));
            }
            None => self.process_appeared(run),
        }
        let has_lease = matches!(process.part, Part::Serves | Part::Retires { .. });
        if has_lease && self.leases.used_when_opened {
            let for_ms = self.rng.delay_ms();
            self.plan(for_ms, Happening::EndOfUse(run));
        }
        if process.part == Part::Serves {
            self.hold(run);
        }
    }

    pub(super) fn note_end_of_what_was_let_go(&mut self, run: RunId, fact: &Fact) {
        if let Fact::Exited(exit) = fact
            && self.book.run(run).is_some_and(|run| run.let_go)
        {
            let end = (self.now_ms(), exit.clone());
            self.lives.ended.entry(run).or_insert(end);
        }
    }
}
