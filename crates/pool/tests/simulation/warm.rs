//! What the book knows of warm keys, and what must hold of them.

use super::book::{Book, Must, RunRecord};
use super::properties::{Verdict, holds};
use super::world::key_name;
use pool::{Action, CallId, Event, ExitReason, Fact, Pool, RunId, RunRules};

/// What keeps a key up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warm {
    pub basis: Basis,
    /// Its runs in a row that have ended soon.
    pub early_ends: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The next start is wanted, and is not ruled yet.
    Wanted,
    /// This start alone is wanted.
    Once,
    /// The rules of its run say so.
    Ruled,
}

/// When the key is started without a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comeback {
    #[default]
    No,
    Now,
    At(u64),
    /// It is given up.
    OnceAsked,
}

impl Warm {
    fn wanted(before: Option<Warm>) -> Warm {
        Warm { basis: Basis::Wanted, early_ends: before.map_or(0, |warm| warm.early_ends) }
    }

    pub fn when_ready(warm: Option<Warm>) -> Option<Warm> {
        warm.filter(|warm| warm.basis == Basis::Ruled)
    }

    /// Of a release that comes up, or has.
    pub fn of_release(run: Option<&RunRecord>) -> Option<Warm> {
        let is_warm = run.and_then(|run| run.rules).is_some_and(|rules| rules.is_warm);
        is_warm.then_some(Warm { basis: Basis::Ruled, early_ends: 0 })
    }
}

impl Book {
    pub fn warm_up(&mut self, key: usize) {
        if self.draining_since.is_some() || self.disposed {
            return;
        }
        let now_ms = self.now.steady_ms;
        let record = &self.keys[key];
        let warm = Some(Warm::wanted(record.warm));
        match self.live_run_of(key) {
            Some(run) if run.is_coming_up() && !run.started && run.rules.is_none() => {
                self.keys[key].warm = record.warm.or(warm);
            }
            Some(run) if run.is_up() => {}
            Some(_) => self.keys[key].warm = Warm::when_ready(record.warm).or(warm),
            None if record.is_queued() => self.keys[key].warm = record.warm.or(warm),
            None if matches!(record.comeback, Comeback::At(_)) => {}
            None => {
                let record = &mut self.keys[key];
                let is_held = record.last_failure.is_some() && record.retry_at_ms > now_ms;
                let due_ms = record.retry_at_ms;
                record.comeback = if is_held { Comeback::At(due_ms) } else { Comeback::Now };
                record.warm = warm;
                record.is_tried_anew = true;
            }
        }
    }

    pub fn clear_backoff(&mut self, key: usize) {
        self.forget_failures(key);
        let record = &mut self.keys[key];
        if matches!(record.comeback, Comeback::At(_) | Comeback::OnceAsked) {
            (record.warm, record.comeback) = (Some(Warm::wanted(None)), Comeback::Now);
        }
    }

    pub fn drain(&mut self) {
        if self.draining_since.is_some() {
            return;
        }
        self.draining_since = Some(self.step);
        for key in 0..self.keys.len() {
            if !self.live_run_of(key).is_some_and(RunRecord::is_up) {
                (self.keys[key].warm, self.keys[key].comeback) = (None, Comeback::No);
            }
        }
    }

    pub fn warm_keys_are_due(&mut self) {
        let now_ms = self.now.steady_ms;
        for key in &mut self.keys {
            if matches!(key.comeback, Comeback::At(due_ms) if due_ms <= now_ms) {
                key.comeback = Comeback::Now;
            }
        }
    }

    pub fn ruled(&mut self, id: RunId, rules: &RunRules) {
        let run = self.run_mut(id).expect("it lives");
        run.rules = Some(*rules);
        let (key, is_wanted) = (run.key, run.is_coming_up());
        if is_wanted && self.keys[key].live == Some(id) {
            self.rule_key(key, rules.is_warm);
        }
    }

    /// What has not been ruled by now is not warm.
    pub fn warm_process_appeared(&mut self, id: RunId, fact: &Fact) {
        let run = self.run(id).expect("it lives");
        let (key, is_ruled, is_wanted) = (run.key, run.rules.is_some(), run.is_coming_up());
        if is_wanted && matches!(fact, Fact::Restored { .. }) {
            self.keys[key].warm = Warm::when_ready(self.keys[key].warm);
        } else if is_wanted && !is_ruled {
            self.rule_key(key, false);
        }
    }

    fn rule_key(&mut self, key: usize, is_warm: bool) {
        let before = self.keys[key].warm;
        let early_ends = before.map_or(0, |warm| warm.early_ends);
        self.keys[key].warm = match before {
            _ if is_warm => Some(Warm { basis: Basis::Ruled, early_ends }),
            Some(_) => Some(Warm { basis: Basis::Once, early_ends }),
            None => None,
        };
    }

    /// The run that serves a key is over: the key comes back, if it is warm.
    pub fn warm_run_is_over(&mut self, id: RunId) {
        let run = self.run(id).expect("it lives");
        let (key, cause) = (run.key, run.cause);
        let has_lasted = run.ready
            && run.ready_before_ms + self.now.steady_ms - run.start_ms
                >= self.config.backoff.max_ms;
        let warm = self.keys[key].warm.take();
        let Some(warm) = warm.filter(|warm| warm.basis != Basis::Once) else { return };
        if self.draining_since.is_some() || self.disposed {
            return;
        }
        let mut next = Warm::wanted(Some(warm));
        let mut wait_ms = 0;
        let soon = [None, Some(ExitReason::ReadinessTimeout), Some(ExitReason::Crashed)];
        if soon.contains(&cause) {
            next.early_ends = if has_lasted { 1 } else { next.early_ends + 1 };
            wait_ms = match next.early_ends {
                1 => 0,
                ends => self.config.backoff.delay_ms(ends - 1),
            };
        }
        let comeback = self.comeback(key, wait_ms);
        let is_evicted = cause == Some(ExitReason::LruEvicted) && warm.basis == Basis::Ruled;
        self.keys[key].stands_aside = is_evicted && self.keys[key].calls() == 0;
        (self.keys[key].warm, self.keys[key].comeback) = (Some(next), comeback);
    }

    /// When it is started again that would be so after `wait_ms`.
    fn comeback(&self, key: usize, wait_ms: u64) -> Comeback {
        let now_ms = self.now.steady_ms;
        let held_ms = match self.hold(key) {
            Some(Must::BeRefusedAsExhausted { .. }) => return Comeback::OnceAsked,
            Some(Must::BackOff { retry_after_ms, .. }) => retry_after_ms,
            _ => 0,
        };
        match wait_ms.max(held_ms) {
            0 => Comeback::Now,
            wait_ms => Comeback::At(now_ms + wait_ms),
        }
    }

    /// No tenant leaves for the key of the call, which has heard so.
    pub fn is_turned_away(&mut self, call: CallId) {
        let key = self.calls[call as usize].key;
        let record = &self.keys[key];
        if record.live.is_none() && record.calls() == 0 && record.warm.is_some() {
            self.keys[key].comeback = self.comeback(key, 0);
        }
    }

    /// The release that comes up is in the place of what was warm.
    pub fn release_inherits_warmth(&mut self, key: usize) {
        let run = self.live_run_of(key);
        let is_ruled = run.is_some_and(|run| run.rules.is_some() || run.started);
        let own = Warm::of_release(run);
        let before = self.keys[key].warm.filter(|warm| warm.basis != Basis::Once);
        let inherited = before.map(|warm| Warm::wanted(Some(warm)));
        let record = &mut self.keys[key];
        record.warm = if is_ruled { own } else { inherited };
        record.comeback = Comeback::No;
    }
}

/// Whether the key may be started without a call.
pub fn may_start(book: &Book, key: usize) -> bool {
    let record = &book.keys[key];
    let is_refused = book.draining_since.is_some() || book.disposed;
    record.waits_without_caller() && record.warm.is_some() && !is_refused
}

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, action: &Action) -> Verdict {
    let (Action::Emit(Event::IdleKill { run, .. })
    | Action::AskIdle { run, .. }
    | Action::Checkpoint { run }) = action
    else {
        return Ok(());
    };
    let run = book.run(*run).expect("its action was looked at");
    holds(!book.is_warm(run), || format!("{action:?}, and it is warm"))
}

/// Looks at everything after a step.
pub fn of_step(book: &Book, pool: &Pool) -> Verdict {
    for (key, record) in book.keys.iter().enumerate() {
        let (Comeback::At(due_ms), None, 0) = (record.comeback, record.live, record.calls()) else {
            continue;
        };
        let next_ms = pool.next_deadline();
        holds(next_ms.is_some_and(|next_ms| next_ms <= due_ms), || {
            format!("{} comes back at {due_ms}, the next deadline is {next_ms:?}", key_name(key))
        })?;
    }
    Ok(())
}
