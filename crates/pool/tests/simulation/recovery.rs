//! What the book knows of processes that outlive a host, and what must hold of them.

use super::book::{Book, Origin, RunRecord};
use super::leases::SharedLeases;
use super::properties::{Verdict, holds};
use super::warm::{Comeback, Warm};
use pool::{
    Action, Custody, Event, Exit, ExitReason, Fact, History, LastExit, Leases, Part, Recovered,
    Release, RunId, StopStage,
};

/// For how long a host that leaves waits for starts and stops.
const PATIENCE_MS: u64 = 5_000;

impl Book {
    /// A process was found.
    pub fn recover(&mut self, id: RunId, key: usize, process: &Recovered) {
        let (now_ms, step) = (self.now.steady_ms, self.step);
        let mut run = RunRecord::new(id, key, step, now_ms, Custody::OURS);
        (run.origin, run.started, run.release) = (Origin::Recovered, true, process.release);
        (run.rules, run.cpu_ms) = (Some(process.rules), process.cpu_ms);
        run.found = Some(*process);
        run.ready_before_ms = process.ready_for_ms.unwrap_or(0);
        self.runs.push(run);
        if !matches!(process.part, Part::HasEnded { .. }) {
            _ = self.observing_from_ms.get_or_insert(now_ms);
        }
        match process.part {
            Part::Serves => self.serve_found(id, key),
            Part::Retires { for_ms } => self.retire_found(id, key, for_ms),
            Part::Ends { reason, .. } => {
                let run = self.run_mut(id).expect("just pushed");
                (run.cause, run.was_ending) = (Some(reason), true);
                (run.stop, run.asked_ms) = (Some((StopStage::Ask, None)), now_ms);
                (run.ready, run.ready_ms) = (process.ready_for_ms.is_some(), now_ms);
                if self.keys[key].live.is_none() {
                    self.keys[key].live = Some(id);
                    self.begin_found_history(key, process.release);
                } else {
                    self.keys[key].second = Some(id);
                }
            }
            Part::HasEnded { reason } => {
                let run = self.run_mut(id).expect("just pushed");
                (run.cause, run.is_found_dead) = (reason, true);
                run.ready = process.ready_for_ms.is_some();
            }
        }
        self.most_alive = self.with_room().count();
    }

    fn serve_found(&mut self, id: RunId, key: usize) {
        let (release, ready_before_ms) = {
            let run = self.run(id).expect("just pushed");
            (run.release, run.ready_before_ms)
        };
        let live = self.live_run_of(key);
        let rival = live.filter(|run| run.is_in_use());
        let now_ms = self.now.steady_ms;
        if let Some(rival) = rival {
            let rival_ms = rival.ready_before_ms + now_ms - rival.ready_ms;
            let is_younger = ready_before_ms >= rival_ms;
            if (rival.release, is_younger) >= (release, true) {
                return self.retire_found(id, key, self.drain_ms);
            }
        }
        let (live, rival) = (live.map(|run| run.id), rival.map(|run| run.id));
        (self.keys[key].live, self.keys[key].comeback) = (Some(id), Comeback::No);
        if live.is_some() {
            self.keys[key].second = live;
        }
        self.run_mut(id).expect("just pushed").become_ready(now_ms);
        self.keys[key].warm = Warm::of_release(self.run(id));
        if let Some(rival) = rival {
            let drain_ms = self.drain_ms;
            let rival = self.run_mut(rival).expect("it serves");
            (rival.retired, rival.in_service) = (Some((now_ms, drain_ms)), false);
            self.begin_failures_and_history(key, id);
        } else {
            self.begin_found_history(key, release);
        }
        if self.config.backoff.min_uptime_ms <= ready_before_ms {
            self.forget_failures(key);
        }
    }

    fn retire_found(&mut self, id: RunId, key: usize, for_ms: u64) {
        let now_ms = self.now.steady_ms;
        let run = self.run_mut(id).expect("just pushed");
        run.become_ready(now_ms);
        (run.retired, run.in_service) = (Some((now_ms, for_ms)), false);
        self.keys[key].second = Some(id);
    }

    fn begin_found_history(&mut self, key: usize, release: Release) {
        let record = &mut self.keys[key];
        if record.release != release {
            (record.release, record.history) = (release, History::default());
        }
        record.history.starts += 1;
    }

    /// Of one that had ended when it was found.
    pub fn fact_of_found_dead(&mut self, id: RunId, fact: &Fact) {
        let Fact::Exited(exit) = fact else { return };
        let Some(run) = self.run_mut(id).filter(|run| !run.over) else { return };
        let Exit { exit_code, out_of_memory, .. } = *exit;
        let signal = exit.signal.filter(|signal| run.cause.is_none() || ![9, 15].contains(signal));
        (run.over, run.exit_code, run.signal) = (true, exit_code, signal);
        run.out_of_memory = out_of_memory;
        let (key, release, reason) = (run.key, run.release, run.reason(exit_code));
        let is_warm = run.rules.is_some_and(|rules| rules.is_warm);
        let record = &self.keys[key];
        if release >= record.release && record.live.is_none() && !record.is_queued() {
            self.begin_found_history(key, release);
            let at_ms = self.now.wall_ms;
            let output = exit.output.clone();
            let history = &mut self.keys[key].history;
            history.crashes += u64::from(reason == ExitReason::Crashed);
            history.last_exit =
                Some(LastExit { run: id, exit_code, signal, reason, at_ms, output, out_of_memory });
        }
        self.ended.push(id);
        if is_warm && !matches!(reason, ExitReason::Killed | ExitReason::Disposed) {
            self.warm_up(key);
        }
    }

    /// The host leaves: what no call waits for is not started to its end.
    pub fn detach(&mut self) {
        if self.disposed {
            return;
        }
        (self.disposed, self.detached) = (true, true);
        self.detachment_ends_ms = Some(self.now.steady_ms + PATIENCE_MS);
        for key in 0..self.keys.len() {
            self.refuse_deploys(key);
            (self.keys[key].warm, self.keys[key].comeback) = (None, Comeback::No);
            let second = self.keys[key].second.and_then(|run| self.run_mut(run));
            if let Some(run) = second.filter(|run| run.is_coming_up()) {
                run.cause = Some(ExitReason::Disposed);
            }
            let has_calls = self.keys[key].calls() > 0;
            let live = self.live_run_of_mut(key);
            if let Some(run) = live.filter(|run| run.is_coming_up() && !has_calls) {
                run.cause = Some(ExitReason::Disposed);
            }
        }
    }

    /// The next host waits no longer.
    pub fn detachment_is_over(&mut self) {
        if self.detachment_ends_ms.is_none_or(|ends_ms| ends_ms > self.now.steady_ms) {
            return;
        }
        self.detachment_ends_ms = None;
        if self.alive().next().is_some() {
            self.dispose();
            self.abandoned_ms.get_or_insert(self.now.steady_ms);
        }
    }

    pub fn let_go(&mut self, id: RunId) {
        let Some(run) = self.run_mut(id) else { return };
        (run.let_go, run.over) = (true, true);
        let key = run.key;
        let record = &mut self.keys[key];
        if record.second == Some(id) {
            record.second = None;
        } else if record.live == Some(id) {
            record.live = None;
        }
        if self.alive().next().is_none() {
            self.observing_from_ms = None;
        }
    }

    /// How many more are alive than may be.
    pub fn surplus(&self) -> usize {
        self.with_room().count().saturating_sub(self.config.max_concurrent)
    }
}

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, leases: &SharedLeases, action: &Action) -> Verdict {
    match action {
        Action::LetGo { run } => what_is_let_go_is_a_tenant(book, *run),
        Action::Emit(Event::Recover { run, .. }) => idleness_goes_on(book, leases, *run),
        Action::Stop { run, .. } => a_start_that_is_waited_for_is_not_cut_short(book, *run),
        _ => Ok(()),
    }
}

/// Looks at everything after a step.
pub fn of_step(book: &Book) -> Verdict {
    let left = book.alive().find(|run| book.detached && (run.is_in_use() || run.is_retired()));
    holds(left.is_none(), || format!("the host leaves, and {left:?} is not let go"))?;
    let expected = u64::from(book.detached);
    holds(book.detach_events >= expected && book.detach_events <= 1, || {
        format!("{} detach events", book.detach_events)
    })
}

/// What is in service and was found is idle by its last touch. (A racing caller may touch a victim.)
fn idleness_goes_on(book: &Book, leases: &SharedLeases, run: RunId) -> Verdict {
    let Some(run) = book.run(run).filter(|run| run.in_service && book.surplus() == 0) else {
        return Ok(());
    };
    let found = run.found.map(|process| process.touched_at_ms.min(book.now.wall_ms));
    let touched_at_ms = leases.touched(run.id).at_ms;
    holds(found == Some(touched_at_ms), || {
        format!("{:?} was touched at {found:?}, not at {touched_at_ms}", run.id)
    })
}

/// What was asked to end, or never was ready, is not left to the next host; what has ended and
/// could not be told in time is.
fn what_is_let_go_is_a_tenant(book: &Book, run: RunId) -> Verdict {
    let Some(run) = book.run(run) else { return Err(format!("{run:?} is unknown")) };
    let is_tenant = run.ready && run.stop.is_none() && !run.ends_by_itself && !run.over;
    holds(book.detached && (is_tenant || run.is_found_dead), || format!("{run:?} is let go"))
}

fn a_start_that_is_waited_for_is_not_cut_short(book: &Book, run: RunId) -> Verdict {
    let Some(run) = book.run(run) else { return Err(format!("{run:?} is unknown")) };
    let is_waited_for = run.is_coming_up() && book.keys[run.key].calls() > 0;
    holds(!(book.detachment_ends_ms.is_some() && is_waited_for), || {
        format!("{run:?} is stopped, and a call waits for it")
    })
}

/// Of those that had ended when they were found.
pub fn every_end_is_told(book: &Book) -> Verdict {
    let untold = book.runs.iter().find(|run| run.is_found_dead && !run.over);
    holds(untold.is_none(), || format!("the end of {untold:?} is not told"))
}
