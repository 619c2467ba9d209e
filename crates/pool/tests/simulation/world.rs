//! The simulated world: an agenda in simulated time, the pool, and all that watches it.

use super::book::{Ask, Book};
use super::delays::Delays;
use super::images::Image;
use super::leases::SharedLeases;
use super::lives::Lives;
use super::properties::Verdict;
use super::rules::{Faults, Rules};
use super::{answers, evictions, idleness, images, last_uses, origins};
use super::{properties, recovery, releases, sleep, statuses, warm};
use pool::{CallId, Fact, Input, Key, Now, Pool, RunId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use stories::Log;
use stories::Rng;

/// More than any story needs, fewer than one that spins takes.
const ABSURDLY_MANY_STEPS: u64 = 20_000;

pub const START: Now = Now { steady_ms: 1_000, wall_ms: 1_700_000_000_000 };

/// How long after the story's beginning a time is.
pub const fn after_ms(now: Now) -> u64 {
    now.steady_ms - START.steady_ms
}

const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

pub fn key_index(key: &str) -> usize {
    usize::from(key.as_bytes()[0] - b'a')
}

pub fn key_name(index: usize) -> &'static str {
    KEYS[index]
}

/// Something that is going to happen.
#[derive(Debug)]
pub enum Happening {
    /// A call that goes to the pool.
    Call(Ask, usize),
    /// A call that tries the shared lease first.
    QuickEnsure(usize),
    Touch(usize),
    /// The key's sleeper has a visitor.
    Knock(usize),
    /// Whether the host is short of memory.
    Pressure(bool),
    /// A call that tries to take the tenant into use, past the pool, for this long.
    Use(usize, u64),
    EndOfUse(RunId),
    ClearBackoff(usize),
    Warm(usize),
    Drain,
    /// How long uses of a tenant that is to end may go on.
    DrainTime(u64),
    Abandon,
    Abort(CallId),
    Fact(RunId, Fact),
    /// Something continues the tree of a run, if that sleeps.
    Stir(RunId),
    /// It is seen which runs have open connections.
    Look,
    /// The snapshot driver answers for a key.
    Image(usize),
    /// JavaScript is about to have a run of the key restored.
    Restore(RunId, usize),
    /// JavaScript has waited for the snapshot driver.
    ImageIsLate {
        run: RunId,
        key: usize,
        wait: u64,
    },
    /// The host does not run for this long: the steady clock stands still.
    Absence(u64),
}

pub struct World<'l> {
    pub rng: Rng,
    pub faults: Faults,
    pub lag_ms: u64,
    pub pool: Pool,
    pub book: Book,
    pub leases: SharedLeases,
    pub(super) agenda: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    pub log: &'l mut Log,
    pub(super) keys: Vec<Key>,
    /// The runs that callers hold a tenant of, by key.
    pub(super) held: Vec<Option<RunId>>,
    /// Questions that are not answered until the world mends.
    pub hung: Vec<Hung>,
    /// The runs whose last use is to be told of.
    pub watched: Vec<RunId>,
    /// When the last order of each run to rest or to run is answered.
    pub orders: BTreeMap<RunId, u64>,
    /// The hosts before this one, and what they have left.
    pub lives: Lives,
    /// From now on nothing hangs.
    pub mending: bool,
    /// From now on every stop works, and no refusal is on its way any more.
    pub docile: bool,
}

/// What the pool waits for.
#[derive(Clone, Copy, Debug)]
pub enum Hung {
    Start(RunId),
    Probe(RunId),
    Question(RunId),
    Sleepiness(RunId),
    /// What the snapshot driver was asked for a key.
    Image(usize),
    Look,
}

/// Happenings of the same instant come in a random order.
pub(super) struct Entry {
    pub at_ms: u64,
    lot: u64,
    pub happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.lot) == (other.at_ms, other.lot)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.lot).cmp(&(other.at_ms, other.lot))
    }
}

impl<'l> World<'l> {
    pub fn new(mut rng: Rng, rules: &Rules, log: &'l mut Log) -> Self {
        let mut book = Book::new(rules.config.clone(), rules.keys, START);
        for image in &mut book.images {
            image.there = rng.chance(rules.faults.earlier_images).then(|| Image::new(None, true));
        }
        World {
            faults: rules.faults,
            lag_ms: rules.lag_ms,
            pool: Pool::new(rules.config.clone()),
            book,
            leases: SharedLeases::new(rng.split(), rules.faults.races),
            rng,
            agenda: BinaryHeap::new(),
            entries: 0,
            log,
            keys: KEYS[..rules.keys].iter().map(|name| Key::from(*name)).collect(),
            held: vec![None; rules.keys],
            hung: Vec::new(),
            watched: Vec::new(),
            orders: BTreeMap::new(),
            lives: Lives::new(rules),
            mending: false,
            docile: false,
        }
    }

    pub fn now_ms(&self) -> u64 {
        self.book.now.steady_ms
    }

    pub fn plan(&mut self, after_ms: u64, happening: Happening) {
        self.entries += 1;
        let lot = self.rng.next() >> 24 << 24 | self.entries;
        self.agenda.push(Reverse(Entry { at_ms: self.now_ms() + after_ms, lot, happening }));
    }

    /// A fact, now and then told twice.
    pub fn plan_fact(&mut self, after_ms: u64, run: RunId, fact: Fact) {
        if self.rng.chance(self.faults.duplicates) {
            let again_ms = after_ms + self.rng.delay_ms();
            self.plan(again_ms, Happening::Fact(run, fact.clone()));
        }
        self.plan(after_ms, Happening::Fact(run, fact));
    }

    /// A fact that is told now is told once more, now and then.
    pub fn plan_again(&mut self, run: RunId, fact: Fact) {
        if self.rng.chance(self.faults.duplicates) {
            let again_ms = self.rng.delay_ms();
            self.plan(again_ms, Happening::Fact(run, fact));
        }
    }

    /// Jumps to what comes next, a happening or the pool's own deadline. False: nothing ever will.
    pub fn advance(&mut self) -> Result<bool, String> {
        let happens_ms = self.agenda.peek().map(|Reverse(entry)| entry.at_ms);
        let due_ms = self.pool.next_deadline();
        let tick = match (happens_ms, due_ms) {
            (None, None) => return Ok(false),
            (Some(happens_ms), Some(due_ms)) if happens_ms == due_ms => self.rng.chance(50),
            (Some(happens_ms), Some(due_ms)) => due_ms < happens_ms,
            (happens_ms, _) => happens_ms.is_none(),
        };
        if tick {
            let mut at_ms = due_ms.expect("a tick is due") + self.rng.between(0, self.lag_ms);
            at_ms = happens_ms.map_or(at_ms, |happens_ms| at_ms.min(happens_ms));
            self.move_clock(at_ms);
            self.handle(Input::Tick)?;
            answers::a_step_is_never_due_at_once(self.book.now, &self.pool)?;
        } else {
            let Reverse(entry) = self.agenda.pop().expect("something happens");
            self.move_clock(entry.at_ms);
            self.happen(entry.happening)?;
        }
        let steps = self.book.step;
        properties::holds(steps < ABSURDLY_MANY_STEPS, || format!("{steps} steps and no end"))?;
        Ok(true)
    }

    pub(super) fn move_clock(&mut self, at_ms: u64) {
        let at_ms = at_ms.max(self.now_ms());
        self.book.now.wall_ms += at_ms - self.book.now.steady_ms;
        self.book.now.steady_ms = at_ms;
        self.leases.wall_ms = self.book.now.wall_ms;
    }

    fn happen(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Call(ask, key) => self.call(ask, key),
            Happening::QuickEnsure(key) => match self.touch(key)? {
                true => Ok(()),
                false => self.call(Ask::Ensure, key),
            },
            Happening::Touch(key) => match self.touch(key)? {
                true => Ok(()),
                false => self.handle(Input::Touch { key: self.keys[key].clone() }),
            },
            Happening::Knock(key) => self.knock(key),
            Happening::Pressure(is_short) => self.handle(Input::Pressure { is_short }),
            Happening::Use(key, for_ms) => self.take_into_use(key, for_ms),
            Happening::EndOfUse(run) => {
                self.leases.end_use(run);
                self.log.note(after_ms(self.book.now), || format!("·  a use of {run:?} ends"));
                self.a_use_ended(run);
                Ok(())
            }
            Happening::ClearBackoff(key) => {
                self.handle(Input::ClearBackoff { key: self.keys[key].clone() })
            }
            Happening::Warm(key) => self.handle(Input::Warm { key: self.keys[key].clone() }),
            Happening::Drain => self.handle(Input::Drain),
            Happening::DrainTime(ms) => self.handle(Input::DrainTime { ms }),
            Happening::Abandon => self.handle(Input::Abandon),
            Happening::Abort(call) => self.abort(call),
            Happening::Fact(run, fact) => self.tell(run, fact),
            Happening::Stir(run) => self.stir(run),
            Happening::Look => self.see_connections(),
            Happening::Image(key) => self.snapshot_driver_answers(key),
            Happening::Restore(run, key) => self.restore_is_taken(run, key),
            Happening::ImageIsLate { run, key, wait } => self.image_is_late(run, key, wait),
            Happening::Absence(ms) => self.be_absent(ms),
        }
    }

    fn be_absent(&mut self, ms: u64) -> Verdict {
        let from_ms = self.book.now.wall_ms;
        let to_ms = from_ms + ms;
        (self.book.now.wall_ms, self.leases.wall_ms) = (to_ms, to_ms);
        self.handle(Input::Absent { from_ms, to_ms })
    }

    pub fn key(&self, index: usize) -> Key {
        self.keys[index].clone()
    }

    pub fn tell(&mut self, run: RunId, fact: Fact) -> Verdict {
        if self.docile && matches!(fact, Fact::StopRefused { .. }) {
            return Ok(());
        }
        self.note_end_of_what_was_let_go(run, &fact);
        let appears = matches!(fact, Fact::Started { .. } | Fact::Restored { .. });
        self.handle(Input::Fact(run, fact))?;
        if appears {
            self.process_appeared(run);
        }
        Ok(())
    }

    pub fn call(&mut self, ask: Ask, key: usize) -> Verdict {
        self.book.step += 1;
        let call = self.book.open_call(ask, key);
        if ask.is_for_a_tenant() {
            self.plan_abort(call);
        }
        let key = self.keys[key].clone();
        let input = match ask {
            Ask::Ensure => Input::Ensure { key, call },
            Ask::Restart => Input::Restart { key, call },
            Ask::Deploy => Input::Deploy { key, call, retire_ms: self.retire_ms_of(call) },
            Ask::Adopt => Input::Adopt { key, call, process: self.hand_over(call) },
            Ask::Kill => Input::Kill { key, call },
            Ask::Dispose => Input::Dispose { call },
            Ask::Detach => Input::Detach { call: Some(call) },
        };
        self.step(input)
    }

    fn retire_ms_of(&mut self, call: CallId) -> u64 {
        let retire_ms = self.rng.pick(&[0, 5, 40, 1_000, 3_000]);
        self.book.calls[call as usize].retire_ms = retire_ms;
        retire_ms
    }

    /// Some callers go away, before or after they are answered, and some say so twice.
    fn plan_abort(&mut self, call: CallId) {
        let mut percent = self.faults.aborts;
        while self.rng.chance(percent) {
            let after_ms = self.rng.delay_ms();
            self.plan(after_ms, Happening::Abort(call));
            percent = self.faults.duplicates;
        }
    }

    fn abort(&mut self, call: CallId) -> Verdict {
        let key = self.keys[self.book.calls[call as usize].key].clone();
        self.handle(Input::Abort { key, call })
    }

    /// Touches as the facade does, past the pool. True: the caller has a tenant.
    fn touch(&mut self, key: usize) -> Result<bool, String> {
        let Some(run) = self.held[key] else { return Ok(false) };
        let open = self.leases.touch_as_caller(run);
        self.log.note(after_ms(self.book.now), || {
            format!("·  touch of {run:?}, the lease is open: {open}")
        });
        let in_use = self.book.run(run).is_some_and(|run| run.is_in_use() || run.let_go);
        properties::holds(!open || in_use, || format!("{run:?} is handed out and not in use"))?;
        Ok(open)
    }

    /// Takes the tenant into use as a thread in Rust does; without a tenant the call goes to the
    /// pool.
    fn take_into_use(&mut self, key: usize, for_ms: u64) -> Verdict {
        let run = self.held[key].filter(|run| self.leases.begin_use(*run));
        self.log.note(after_ms(self.book.now), || format!("·  {run:?} is in use"));
        let Some(run) = run else { return self.call(Ask::Ensure, key) };
        self.plan(for_ms, Happening::EndOfUse(run));
        let in_use = self.book.run(run).is_some_and(|run| run.is_in_use() || run.let_go);
        properties::holds(in_use, || format!("{run:?} is taken into use, and is out of service"))
    }

    pub fn handle(&mut self, input: Input) -> Verdict {
        self.book.step += 1;
        self.step(input)
    }

    fn step(&mut self, input: Input) -> Verdict {
        let now = self.book.now;
        self.log.note(after_ms(now), || format!("-> {input:?}"));
        self.book.input(&input);
        let actions = self.pool.handle(now, input, &mut self.leases);
        for action in &actions {
            self.log.note(after_ms(now), || format!("   <- {action:?}"));
            properties::of_action(&self.book, &self.leases, action)?;
            images::of_action(&self.book, action)?;
            evictions::of_action(&self.book, &self.leases, action)?;
            last_uses::of_action(&self.book, &self.leases, action)?;
            origins::of_action(&self.book, action)?;
            warm::of_action(&self.book, action)?;
            releases::of_action(&self.book, &self.leases, action)?;
            idleness::of_action(&self.book, &self.leases, action)?;
            sleep::of_action(&self.book, &self.leases, action)?;
            answers::of_action(&self.book, action)?;
            recovery::of_action(&self.book, &self.leases, action)?;
            self.lives.of_action(action)?;
            self.book.action(action);
            self.carry_out(action);
        }
        self.note_stops_of_sleepers()?;
        self.pool.check_invariants()?;
        properties::of_step(&self.book, &self.leases, self.lag_ms)?;
        evictions::of_step(&self.book, &self.leases, &self.pool)?;
        last_uses::of_step(&self.book, &self.leases, self.lag_ms)?;
        origins::of_step(&self.book)?;
        warm::of_step(&self.book, &self.pool)?;
        releases::of_step(&self.book, self.lag_ms)?;
        idleness::of_step(&self.book, &self.leases, self.lag_ms)?;
        sleep::of_step(&self.book, &self.leases, self.lag_ms)?;
        answers::of_step(&self.book)?;
        recovery::of_step(&self.book)?;
        statuses::of_step(&self.book, &self.pool)?;
        self.book.close_step();
        for run in std::mem::take(&mut self.leases.taken_at_claim) {
            let for_ms = self.rng.delay_ms();
            self.plan(for_ms, Happening::EndOfUse(run));
        }
        for run in std::mem::take(&mut self.leases.turned_back) {
            let key = self.book.run(run).expect("it had a lease").key;
            self.plan(0, Happening::Call(Ask::Ensure, key));
        }
        Ok(())
    }

    /// Callers hold on to the latest tenant they were given or told of.
    pub fn hold(&mut self, run: RunId) {
        if let Some(record) = self.book.run(run) {
            self.held[record.key] = Some(run);
        }
    }
}
