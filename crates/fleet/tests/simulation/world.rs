//! Hosts, a store and a network between them in simulated time, and what must hold at every moment.

use super::delays::Delays;
use super::host::{Clock, Follower, Host, State, Tenant};
use super::store::Store;
use super::visitors::Visit;
use fleet::{
    Action, Answer, AskId, CallId, Input, Key, Local, OrderId, Question, Record, Reply, Stamp,
    Terms, Transaction,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stories::Log;
use stories::Rng;

pub struct World<'a> {
    pub now: u64,
    pub rng: Rng,
    pub log: &'a mut Log,
    pub terms: Terms,
    pub hosts: Vec<Host>,
    pub store: Store,
    pub is_store_up: bool,
    /// What is under way to a store that was replaced does not reach it.
    pub store_life: u64,
    /// From one host to another nothing comes through.
    pub cuts: BTreeSet<(usize, usize)>,
    /// How many of a hundred requests to the store go wrong somehow.
    pub trouble: u64,
    /// How they go wrong in this story.
    pub fates: Vec<u64>,
    /// Watches tell so much later what has changed.
    pub watch_lag_ms: u64,
    /// Nothing takes long any more.
    pub is_calm: bool,
    pub visits: usize,
    pub promised: Vec<(Visit, Option<(usize, u64)>)>,
    pub last_call: u64,
    queue: BTreeMap<(u64, u64), Event>,
    last_event: u64,
    last_tenant: u64,
    /// Questions that wait for an answer: who asked, and who is asked.
    asks: BTreeMap<(usize, u64, AskId), usize>,
    /// The highest epoch of each key so far.
    epochs: BTreeMap<Key, u64>,
    pub failure: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Event {
    Wakes {
        host: usize,
        wake: u64,
    },
    Executes {
        host: usize,
        life: u64,
        store_life: u64,
        order: OrderId,
        what: Request,
        answer_after_ms: Option<u64>,
    },
    Answers {
        host: usize,
        life: u64,
        order: OrderId,
        answer: Answer,
    },
    Follows {
        host: usize,
        life: u64,
    },
    Lists {
        host: usize,
        life: u64,
    },
    Listed {
        host: usize,
        life: u64,
        store_life: u64,
        at: Stamp,
        records: Vec<Record>,
    },
    Watches {
        host: usize,
        life: u64,
        up_to: u64,
    },
    Asks {
        host: usize,
        from: usize,
        from_life: u64,
        ask: AskId,
        question: Question,
    },
    Replies {
        host: usize,
        life: u64,
        ask: AskId,
        reply: Reply,
    },
    Tenant {
        host: usize,
        life: u64,
        key: Key,
        number: u64,
        input: Box<Input>,
    },
    Stopped {
        number: u64,
        host: usize,
        life: u64,
    },
    Arrives(Box<Visit>),
    Aborts {
        host: usize,
        call: CallId,
    },
    Resumes {
        host: usize,
        life: u64,
    },
}

#[derive(Clone, Debug)]
pub enum Request {
    Commit(Transaction),
    Read(Vec<String>),
}

impl<'a> World<'a> {
    pub fn new(mut rng: Rng, hosts: usize, terms: Terms, log: &'a mut Log) -> World<'a> {
        let clock = |rng: &mut Rng| Clock {
            offset: rng.between(1_000, 1_000_000),
            rate: rng.between(950, 1_050),
        };
        let new = |n: usize| Host {
            id: format!("h{n}").into(),
            life: 0,
            fleet: None,
            clock: clock(&mut rng),
            stopped_until: None,
            backlog: Vec::new(),
            serve_until: 0,
            tenants: BTreeMap::new(),
            calls: BTreeMap::new(),
            owed: Vec::new(),
            follower: Follower::Broken,
            wake: 0,
            stops: 0,
            is_deaf: [false; 2],
            is_draining: false,
            is_closing: false,
            is_punctual: true,
        };
        World {
            hosts: (0..hosts).map(new).collect(),
            now: 0,
            rng,
            log,
            terms,
            store: Store::new(1),
            is_store_up: true,
            store_life: 1,
            cuts: BTreeSet::new(),
            trouble: 0,
            fates: Vec::new(),
            watch_lag_ms: 0,
            is_calm: false,
            visits: 0,
            promised: Vec::new(),
            last_call: 0,
            queue: BTreeMap::new(),
            last_event: 0,
            last_tenant: 0,
            asks: BTreeMap::new(),
            epochs: BTreeMap::new(),
            failure: None,
        }
    }

    pub fn note(&mut self, line: impl FnOnce(&World) -> String) {
        if self.log.wanted {
            let line = line(self);
            self.log.note(self.now, || line);
        }
    }

    pub fn fail(&mut self, failure: String) {
        self.note(|_| format!("FAILS: {failure}"));
        self.failure.get_or_insert(failure);
    }

    pub fn delay_ms(&mut self) -> u64 {
        if self.is_calm { self.rng.between(0, 12) } else { self.rng.delay_ms() }
    }

    pub fn after(&mut self, delay_ms: u64, event: Event) {
        self.last_event += 1;
        self.queue.insert((self.now + delay_ms, self.last_event), event);
    }

    /// Lets time pass until then, or something is wrong.
    pub fn run_until(&mut self, until_ms: u64) -> Result<(), String> {
        while let Some(first) = self.queue.first_entry() {
            if first.key().0 > until_ms {
                break;
            }
            let ((at_ms, _), event) = first.remove_entry();
            self.now = at_ms;
            self.happens(event);
            self.no_key_is_served_twice();
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
        }
        self.now = until_ms;
        Ok(())
    }

    pub fn start(&mut self, host: usize) {
        self.note(|world| format!("{} starts", world.hosts[host].id));
        self.hosts[host].start(self.terms);
        let life = self.hosts[host].life;
        self.after(0, Event::Follows { host, life });
    }

    fn happens(&mut self, event: Event) {
        if let Some(host) = self.addressee(&event)
            && self.hosts[host].stopped_until.is_some()
        {
            return self.hosts[host].backlog.push(event);
        }
        match event {
            Event::Wakes { host, wake } if self.hosts[host].wake == wake => {
                self.handle(host, Input::Tick);
            }
            Event::Executes { host, life, store_life, order, what, answer_after_ms } => {
                let answer = self.execute(store_life, &what);
                if let Some(delay_ms) = answer_after_ms {
                    self.after(delay_ms, Event::Answers { host, life, order, answer });
                }
            }
            Event::Answers { host, life, order, answer } if self.lives(host, life) => {
                let is_lost = self.hosts[host].is_deaf[1];
                let answer = if is_lost { Answer::Unknown } else { answer };
                self.handle(host, Input::Answered { order, answer });
            }
            Event::Follows { host, life } if self.lives(host, life) => self.follow(host),
            Event::Lists { host, life } if self.lives(host, life) => {
                if !self.is_store_up || self.hosts[host].is_deaf != [false; 2] {
                    return self.watch_breaks(host);
                }
                let (at, records) = (self.store.at, self.store.list());
                let delay_ms = self.delay_ms();
                let store_life = self.store_life;
                self.after(delay_ms, Event::Listed { host, life, store_life, at, records });
            }
            Event::Listed { host, life, store_life, at, records } if self.lives(host, life) => {
                if self.hosts[host].is_deaf[1] || store_life != self.store_life {
                    return self.watch_breaks(host);
                }
                self.hosts[host].follower = Follower::Watching(at.revision);
                self.after(1, Event::Watches { host, life, up_to: at.revision });
                self.handle(host, Input::Listed { at, records });
            }
            Event::Watches { host, life, up_to } if self.lives(host, life) => {
                self.watch(host, up_to);
            }
            Event::Asks { host, from, from_life, ask, question } => {
                self.is_asked(host, from, from_life, ask, question);
            }
            Event::Replies { host, life, ask, reply } if self.lives(host, life) => {
                self.handle(host, Input::Replied { ask, reply });
            }
            Event::Tenant { host, life, key, number, input } if self.lives(host, life) => {
                self.tenant_changes(host, &key, number, *input);
            }
            Event::Stopped { host, life, number }
                if self.lives(host, life) && self.hosts[host].stops == number =>
            {
                self.hosts[host].tenants.clear();
                self.handle(host, Input::Stopped);
            }
            Event::Arrives(visit) => self.arrives(*visit),
            Event::Aborts { host, call } => {
                let Some(visit) = self.hosts[host].calls.get(&call) else { return };
                let key = visit.key.clone();
                // An answer may cross it.
                self.handle(host, Input::Abort { call, key });
                if let Some(visit) = self.hosts[host].calls.remove(&call) {
                    self.ends(visit, None);
                }
            }
            Event::Resumes { host, life } if self.lives(host, life) => self.resume(host),
            _ => {}
        }
    }

    fn addressee(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Executes { .. } | Event::Resumes { .. } | Event::Arrives(_) => None,
            Event::Wakes { host, .. }
            | Event::Answers { host, .. }
            | Event::Follows { host, .. }
            | Event::Lists { host, .. }
            | Event::Listed { host, .. }
            | Event::Watches { host, .. }
            | Event::Asks { host, .. }
            | Event::Replies { host, .. }
            | Event::Tenant { host, .. }
            | Event::Stopped { host, .. }
            | Event::Aborts { host, .. } => Some(*host),
        }
    }

    fn lives(&self, host: usize, life: u64) -> bool {
        self.hosts[host].fleet.is_some() && self.hosts[host].life == life
    }

    /// Has the host's value take a step, and carries out what comes of it.
    pub fn handle(&mut self, host: usize, input: Input) {
        let now_ms = self.hosts[host].clock.at(self.now);
        let is_tick = matches!(input, Input::Tick);
        if !is_tick {
            self.note(|world| format!("{} ← {}", world.hosts[host].id, shortened(&input)));
        }
        let Some(fleet) = &mut self.hosts[host].fleet else { return };
        let actions = fleet.handle(now_ms, input);
        if let Err(broken) = fleet.check_invariants(now_ms) {
            let id = self.hosts[host].id.clone();
            return self.fail(format!("{id}: {broken}"));
        }
        if let Some(deadline_ms) = fleet.next_deadline() {
            self.hosts[host].wake += 1;
            let wake = self.hosts[host].wake;
            let at_ms = self.hosts[host].clock.when(deadline_ms);
            self.after(at_ms.saturating_sub(self.now), Event::Wakes { host, wake });
        } else {
            self.hosts[host].wake += 1;
        }
        for action in actions {
            self.note(|world| format!("{} → {}", world.hosts[host].id, shortened(&action)));
            self.carry_out(host, action);
        }
    }

    fn carry_out(&mut self, host: usize, action: Action) {
        let life = self.hosts[host].life;
        match action {
            Action::Commit { order, transaction } => {
                self.request(host, order, Request::Commit(transaction));
            }
            Action::Read { order, keys } => self.request(host, order, Request::Read(keys)),
            Action::List => self.after(0, Event::Follows { host, life }),
            Action::Admit { key, epoch } => self.admit(host, key, epoch),
            Action::Prepare { key, epoch } => self.prepare(host, key, epoch),
            Action::Hold { key } => {
                self.changes_to(host, &key, State::Held, Input::Quiet { key: key.clone() })
            }
            Action::Resume { key } => {
                if let Some(tenant) = self.hosts[host].tenants.get_mut(&key) {
                    tenant.state = State::Admitted;
                }
            }
            Action::Withdraw { key, at_once } => {
                let state = self.hosts[host].tenants.get(&key).map(|tenant| tenant.state);
                let is_served = matches!(state, Some(State::Admitted | State::Held)) && !at_once;
                let told = Input::Withdrawn { key: key.clone() };
                self.changes_to(host, &key, State::Ending { is_served }, told);
            }
            Action::ServeUntil { at_ms } => self.hosts[host].serve_until = at_ms,
            Action::Fence => {
                let delay_ms = self.rng.between(0, self.terms.fence_ms * 8 / 10);
                self.hosts[host].stops += 1;
                let number = self.hosts[host].stops;
                self.after(delay_ms, Event::Stopped { host, life, number });
            }
            Action::StopAll => {
                let delay_ms = self.rng.between(0, 3_000);
                self.hosts[host].stops += 1;
                let number = self.hosts[host].stops;
                self.after(delay_ms, Event::Stopped { host, life, number });
            }
            Action::Ask { ask, host: to, question, .. } => self.ask(host, &to, ask, question),
            Action::Reply { ask, reply } => self.reply(ask, reply),
            Action::Answer { call, place } => self.visit_answered(host, call, place),
            Action::Done { call } => {
                let owed = &mut self.hosts[host].owed;
                match owed.iter().position(|other| *other == call) {
                    Some(index) => _ = owed.remove(index),
                    None => self.fail(format!("{call:?} is done, and nobody waits for it")),
                }
            }
            Action::Route { .. } | Action::Emit(_) => {}
        }
    }

    fn request(&mut self, host: usize, order: OrderId, what: Request) {
        let (life, store_life) = (self.hosts[host].life, self.store_life);
        let time_out_ms = self.rng.between(100, 900);
        let unknown = if self.rng.chance(50) || matches!(what, Request::Read(_)) {
            Answer::Unreachable
        } else {
            Answer::Unknown
        };
        let lost = Event::Answers { host, life, order, answer: unknown };
        if !self.is_store_up || self.hosts[host].is_deaf[0] {
            return self.after(time_out_ms, lost);
        }
        let is_in_trouble = self.rng.chance(self.trouble);
        let fate = if is_in_trouble { self.rng.pick(&self.fates) } else { 5 };
        let late_ms = self.rng.between(300, 9_000);
        // It is lost; carried out late, without and with an answer; carried out without an answer;
        // its answer is late.
        let (delay_ms, answer_after_ms) = match fate {
            0 => return self.after(time_out_ms, lost),
            1 => (late_ms, None),
            2 => (late_ms / 3, Some(self.delay_ms())),
            3 => (self.delay_ms(), None),
            4 => (self.delay_ms(), Some(late_ms / 2)),
            _ => (self.delay_ms(), Some(self.delay_ms())),
        };
        if answer_after_ms.is_none() {
            let answer = Answer::Unknown;
            self.after(time_out_ms, Event::Answers { host, life, order, answer });
        }
        let event = Event::Executes { host, life, store_life, order, what, answer_after_ms };
        self.after(delay_ms, event);
    }

    fn execute(&mut self, store_life: u64, what: &Request) -> Answer {
        if !self.is_store_up || store_life != self.store_life {
            return Answer::Unreachable;
        }
        match what {
            Request::Read(keys) => {
                Answer::Read { at: self.store.at, records: self.store.read(keys) }
            }
            Request::Commit(transaction) => {
                let answer = self.store.commit(transaction);
                if matches!(answer, Answer::Committed { .. }) {
                    for host in 0..self.hosts.len() {
                        let delay_ms = self.delay_ms() + self.watch_lag_ms;
                        let (life, up_to) = (self.hosts[host].life, self.store.at.revision);
                        self.after(delay_ms, Event::Watches { host, life, up_to });
                    }
                }
                answer
            }
        }
    }

    fn follow(&mut self, host: usize) {
        let life = self.hosts[host].life;
        self.hosts[host].follower = Follower::Listing;
        let delay_ms = self.delay_ms();
        self.after(delay_ms, Event::Lists { host, life });
    }

    pub fn watch_breaks(&mut self, host: usize) {
        let life = self.hosts[host].life;
        self.hosts[host].follower = Follower::Broken;
        let delay_ms = self.rng.between(50, 500);
        self.after(delay_ms, Event::Follows { host, life });
    }

    /// The stream has got so far.
    fn watch(&mut self, host: usize, up_to: u64) {
        let Follower::Watching(revision) = self.hosts[host].follower else { return };
        // A stream ends soon where only one way is cut.
        let is_cut = !self.is_store_up || self.hosts[host].is_deaf != [false; 2];
        if is_cut || self.store.at.revision < revision {
            return self.watch_breaks(host);
        }
        let at = Stamp { revision: up_to.min(self.store.at.revision), ..self.store.at };
        if at.revision <= revision {
            return;
        }
        self.hosts[host].follower = Follower::Watching(at.revision);
        let mut changes = self.store.changes_after(revision);
        changes.retain(|change| change.revision <= at.revision);
        // Of what is not watched a stream tells now and then that it has got so far.
        if changes.is_empty() && self.rng.chance(80) {
            return;
        }
        self.handle(host, Input::Changed { at, changes });
    }

    fn ask(&mut self, host: usize, to: &Arc<str>, ask: AskId, question: Question) {
        let life = self.hosts[host].life;
        let failed = Event::Replies { host, life, ask, reply: Reply::Failed };
        let to = self.hosts.iter().position(|other| other.id == *to).expect("a known host");
        if self.cuts.contains(&(host, to)) || self.rng.chance(self.trouble) {
            return self.after(300, failed);
        }
        self.asks.insert((host, life, ask), to);
        let delay_ms = self.delay_ms();
        self.after(delay_ms, Event::Asks { host: to, from: host, from_life: life, ask, question });
    }

    fn is_asked(
        &mut self,
        host: usize,
        from: usize,
        from_life: u64,
        ask: AskId,
        question: Question,
    ) {
        if !self.asks.contains_key(&(from, from_life, ask)) {
            return;
        }
        if self.hosts[host].fleet.is_none() {
            return self.reply_to(from, from_life, ask, Reply::Failed);
        }
        // Whom to answer is part of the number.
        let ask = AskId(ask.0 * 1_000_000 + from_life * 100 + from as u64);
        let from = self.hosts[from].id.clone();
        self.handle(host, Input::Asked { ask, from, question });
    }

    fn reply(&mut self, ask: AskId, reply: Reply) {
        let (from, from_life) = (ask.0 % 100, ask.0 / 100 % 10_000);
        self.reply_to(from as usize, from_life, AskId(ask.0 / 1_000_000), reply);
    }

    fn reply_to(&mut self, host: usize, life: u64, ask: AskId, reply: Reply) {
        if self.asks.remove(&(host, life, ask)).is_none() {
            return self.fail(format!("{ask:?} of h{host} is answered twice"));
        }
        let is_lost = self.rng.chance(self.trouble);
        let reply = if is_lost { Reply::Failed } else { reply };
        let delay_ms = self.delay_ms();
        self.after(delay_ms, Event::Replies { host, life, ask, reply });
    }

    /// The process is killed, and its connections break.
    pub fn kill(&mut self, host: usize) {
        for visit in self.hosts[host].kill() {
            self.ends(visit, None);
        }
        let asked: Vec<_> = self.asks.iter().filter(|(_, to)| **to == host).collect();
        let asked: Vec<_> = asked.into_iter().map(|(from, _)| *from).collect();
        for (from, life, ask) in asked {
            self.reply_to(from, life, ask, Reply::Failed);
        }
    }

    fn admit(&mut self, host: usize, key: Key, epoch: u64) {
        let id = self.hosts[host].id.clone();
        let highest = self.epochs.get(&key).copied().unwrap_or(0);
        if epoch <= highest {
            self.fail(format!("{id} admits {key} by epoch {epoch}, after {highest}"));
        }
        self.epochs.insert(key.clone(), epoch);
        self.last_tenant += 1;
        let number = self.last_tenant;
        let tenant = Tenant { epoch, state: State::Admitted, number };
        match self.hosts[host].tenants.insert(key.clone(), tenant) {
            None => {}
            Some(before) if before.state == State::Preparing && before.epoch == epoch => {}
            Some(_) => self.fail(format!("{id} admits {key} twice")),
        }
        self.nothing_lives_elsewhere(host, &key);
    }

    fn prepare(&mut self, host: usize, key: Key, epoch: u64) {
        self.last_tenant += 1;
        let number = self.last_tenant;
        let tenant = Tenant { epoch, state: State::Preparing, number };
        if self.hosts[host].tenants.insert(key.clone(), tenant).is_some() {
            let id = self.hosts[host].id.clone();
            self.fail(format!("{id} prepares {key}, which is there"));
        }
        let is_ready = !self.rng.chance(self.trouble);
        let input = match is_ready {
            true => Input::Prepared { key: key.clone() },
            false => Input::NotPrepared { key: key.clone() },
        };
        self.later_of(host, &key, number, input);
    }

    fn changes_to(&mut self, host: usize, key: &Key, state: State, told: Input) {
        let Some(tenant) = self.hosts[host].tenants.get_mut(key) else {
            return self.fail(format!("{key} is to be {state:?}, and is not there"));
        };
        tenant.state = state;
        self.last_tenant += 1;
        tenant.number = self.last_tenant;
        self.later_of(host, key, self.last_tenant, told);
    }

    fn later_of(&mut self, host: usize, key: &Key, number: u64, input: Input) {
        let delay_ms = self.delay_ms() + self.delay_ms();
        let (life, key, input) = (self.hosts[host].life, key.clone(), Box::new(input));
        self.after(delay_ms, Event::Tenant { host, life, key, number, input });
    }

    fn tenant_changes(&mut self, host: usize, key: &Key, number: u64, input: Input) {
        let Some(tenant) = self.hosts[host].tenants.get_mut(key) else { return };
        if tenant.number != number {
            return;
        }
        match input {
            Input::Quiet { .. } => tenant.state = State::Quiet,
            Input::Withdrawn { .. } => _ = self.hosts[host].tenants.remove(key),
            _ => {}
        }
        self.handle(host, input);
    }

    /// The visitor's request has the tenant started, and sooner or later it is idle again.
    pub fn is_used(&mut self, host: usize, key: &Key) {
        self.handle(host, Input::Tenant { key: key.clone(), is: Local::Busy });
        if self.rng.chance(60) {
            let is = self.rng.pick(&[Local::Idle, Local::Cold]);
            let Some(tenant) = self.hosts[host].tenants.get(key) else { return };
            let number = tenant.number;
            let input = Input::Tenant { key: key.clone(), is };
            self.later_of(host, key, number, input);
        }
    }

    fn resume(&mut self, host: usize) {
        self.note(|world| format!("{} runs on", world.hosts[host].id));
        self.hosts[host].stopped_until = None;
        for event in std::mem::take(&mut self.hosts[host].backlog) {
            let delay_ms = self.rng.between(0, 3);
            self.after(delay_ms, event);
        }
    }

    fn no_key_is_served_twice(&mut self) {
        let keys = self.hosts.iter().flat_map(|host| host.tenants.keys().cloned());
        for key in keys.collect::<BTreeSet<Key>>() {
            let key = &key;
            let serving =
                self.hosts.iter().filter_map(|host| Some((&host.id, host.serves(key, self.now)?)));
            let serving: Vec<_> = serving.collect();
            if serving.len() > 1 {
                let failure = format!("{key} is served by {serving:?}");
                return self.fail(failure);
            }
        }
    }

    /// When a key is admitted somewhere, its tenant does not live anywhere else, but for one that
    /// has passed it on and those of hosts that were stopped.
    fn nothing_lives_elsewhere(&mut self, host: usize, key: &Key) {
        let lives = |other: &Host| {
            let tenant = other.tenants.get(key);
            let may_live = |tenant: &&Tenant| {
                matches!(
                    tenant.state,
                    State::Quiet | State::Preparing | State::Ending { is_served: false }
                )
            };
            other.is_punctual && tenant.is_some_and(|tenant| !may_live(&tenant))
        };
        let others = self.hosts.iter().enumerate().filter(|(index, _)| *index != host);
        let ghosts: Vec<_> =
            others.filter(|(_, other)| lives(other)).map(|(_, other)| other.id.clone()).collect();
        if !ghosts.is_empty() {
            self.fail(format!("{key} lives on {ghosts:?} while it is admitted elsewhere"));
        }
    }
}

fn shortened(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    // Values are bytes of JSON.
    let mut out = String::new();
    let mut rest = &text[..];
    while let Some(at) = rest.find("value: [") {
        let end = rest[at..].find(']').map_or(rest.len(), |end| at + end);
        let numbers = &rest[at + 8..end];
        let bytes: Vec<u8> = numbers.split(", ").filter_map(|n| n.parse().ok()).collect();
        out.push_str(&rest[..at]);
        out.push_str(&String::from_utf8_lossy(&bytes));
        rest = &rest[(end + 1).min(rest.len())..];
    }
    out.push_str(rest);
    out
}
