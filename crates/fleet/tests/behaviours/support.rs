//! A few hosts with one clock on one store. What hosts want done is done at once, and written down.

use crate::store::Store;
use fleet::{
    Action, Answer, AskId, CallId, Config, Event, Fleet, Input, Key, OrderId, Reply, Terms, Want,
    Where, Why,
};
use std::collections::{BTreeMap, VecDeque};

pub const LEASE_MS: u64 = 5_000;

pub struct Bed {
    pub now: u64,
    pub store: Store,
    pub is_store_gone: bool,
    pub hosts: Vec<One>,
    last_call: u64,
    /// Who asked, by the number that the asked host knows.
    asks: BTreeMap<AskId, (usize, AskId)>,
    queue: VecDeque<(usize, Input)>,
}

pub struct One {
    pub fleet: Fleet,
    pub is_gone: bool,
    pub actions: Vec<Action>,
    /// Up to which revision the watch has told; none for one that tells nothing.
    pub told: Option<u64>,
}

impl Bed {
    /// Hosts h0, h1 … that have joined, with keys that may be claimed.
    pub fn new(hosts: usize) -> Bed {
        Bed::with_lease(hosts, LEASE_MS)
    }

    pub fn with_lease(hosts: usize, lease_ms: u64) -> Bed {
        let mut bed = Bed {
            now: 1_000,
            store: Store::new(1),
            is_store_gone: false,
            hosts: Vec::new(),
            last_call: 0,
            asks: BTreeMap::new(),
            queue: VecDeque::new(),
        };
        for n in 0..hosts {
            bed.join(&format!("h{n}"), lease_ms);
        }
        bed.pass(Terms::of(lease_ms).expect("long enough").gone_after_ms + 100);
        bed
    }

    pub fn join(&mut self, id: &str, lease_ms: u64) -> usize {
        let fleet = Fleet::new(Config {
            id: id.into(),
            address: format!("http://{id}").into(),
            zone: Some("here".into()),
            weight: 1.0,
            run: format!("run-{}", self.hosts.len()).into(),
            terms: Terms::of(lease_ms).expect("long enough"),
            keep_ms: 3_600_000,
            reserve_ms: 60_000,
            moves_at_once: 4,
            rebalance_every_ms: 1_000,
        });
        let one = One { fleet, is_gone: false, actions: Vec::new(), told: None };
        self.hosts.push(one);
        let host = self.hosts.len() - 1;
        self.list(host);
        host
    }

    pub fn list(&mut self, host: usize) {
        let at = self.store.at;
        self.hosts[host].told = Some(at.revision);
        self.tell(host, Input::Listed { at, records: self.store.list() });
    }

    /// Tells the host, and lets everything follow that follows at once.
    pub fn tell(&mut self, host: usize, input: Input) {
        self.queue.push_back((host, input));
        while let Some((host, input)) = self.queue.pop_front() {
            if !self.hosts[host].is_gone {
                let actions = self.hosts[host].fleet.handle(self.now, input);
                self.hosts[host].fleet.check_invariants(self.now).expect("sound books");
                actions.iter().for_each(|action| self.carry_out(host, action));
                self.hosts[host].actions.extend(actions);
            }
            if self.queue.is_empty() {
                self.watch();
            }
        }
    }

    fn watch(&mut self) {
        if self.is_store_gone {
            return;
        }
        let at = self.store.at;
        for host in 0..self.hosts.len() {
            if let Some(told) = self.hosts[host].told.filter(|told| *told < at.revision) {
                self.hosts[host].told = Some(at.revision);
                let changes = self.store.changes_after(told);
                self.queue.push_back((host, Input::Changed { at, changes }));
            }
        }
    }

    fn carry_out(&mut self, host: usize, action: &Action) {
        let input = match action.clone() {
            Action::Commit { order, transaction } => {
                let store = &mut self.store;
                let answer =
                    if self.is_store_gone { None } else { Some(store.commit(&transaction)) };
                answered(order, answer)
            }
            Action::Read { order, keys } => {
                let read = Answer::Read { at: self.store.at, records: self.store.read(&keys) };
                answered(order, Some(read).filter(|_| !self.is_store_gone))
            }
            Action::Hold { key } => Input::Quiet { key },
            Action::Withdraw { key, .. } => Input::Withdrawn { key },
            Action::Prepare { key, .. } => Input::Prepared { key },
            Action::Fence | Action::StopAll => Input::Stopped,
            Action::Ask { ask, host: to, question, .. } => {
                let to = self.index(&to);
                if self.hosts[to].is_gone {
                    self.queue.push_back((host, Input::Replied { ask, reply: Reply::Failed }));
                    return;
                }
                let number = AskId(self.asks.len() as u64 + 1);
                self.asks.insert(number, (host, ask));
                let from = format!("h{host}").into();
                self.queue.push_back((to, Input::Asked { ask: number, from, question }));
                return;
            }
            Action::Reply { ask, reply } => {
                let (from, ask) = self.asks[&ask];
                self.queue.push_back((from, Input::Replied { ask, reply }));
                return;
            }
            _ => return,
        };
        self.queue.push_back((host, input));
    }

    pub fn index(&self, id: &str) -> usize {
        id[1..].parse().expect("hosts are h0, h1 …")
    }

    /// Lets time pass: every host gets its ticks when they are due.
    pub fn pass(&mut self, ms: u64) {
        let until_ms = self.now + ms;
        loop {
            let live = self.hosts.iter().enumerate().filter(|(_, host)| !host.is_gone);
            let due = live.filter_map(|(n, host)| Some((host.fleet.next_deadline()?, n))).min();
            let Some((at_ms, host)) = due.filter(|(at_ms, _)| *at_ms <= until_ms) else { break };
            self.now = self.now.max(at_ms);
            self.tell(host, Input::Tick);
        }
        self.now = until_ms;
    }

    pub fn want(&mut self, host: usize, key: &str) -> Where {
        self.want_how(host, key, Want::default())
    }

    pub fn want_how(&mut self, host: usize, key: &str, want: Want) -> Where {
        self.last_call += 1;
        let call = CallId(self.last_call);
        self.tell(host, Input::Want { call, key: key.into(), want });
        let answer = |action: &Action| match action {
            Action::Answer { call: of, place } if *of == call => Some(place.clone()),
            _ => None,
        };
        self.hosts[host].actions.iter().find_map(answer).expect("it is answered at once")
    }

    /// Has the key claimed, wherever it is placed, and says where that is.
    pub fn claim(&mut self, key: &str) -> usize {
        match self.want(0, key) {
            Where::Here { .. } => 0,
            Where::There { host, .. } => {
                let host = self.index(&host);
                let want = Want { hops: 1, ..Want::default() };
                assert!(matches!(self.want_how(host, key, want), Where::Here { .. }));
                host
            }
            refused => panic!("{key}: {refused:?}"),
        }
    }

    pub fn take(&mut self, host: usize) -> Vec<Action> {
        std::mem::take(&mut self.hosts[host].actions)
    }

    pub fn events(&self, host: usize) -> Vec<&Event> {
        let actions = self.hosts[host].actions.iter();
        actions
            .filter_map(|action| match action {
                Action::Emit(event) => Some(event),
                _ => None,
            })
            .collect()
    }
}

fn answered(order: OrderId, answer: Option<Answer>) -> Input {
    Input::Answered { order, answer: answer.unwrap_or(Answer::Unreachable) }
}

pub fn key(name: &str) -> Key {
    name.into()
}

pub fn why(place: Where) -> Option<Why> {
    match place {
        Where::Refused { why, .. } => Some(why),
        _ => None,
    }
}

/// The record in the store, as text.
pub fn text(store: &Store, key: &str) -> Option<String> {
    let record = store.read(&[key.to_string()]).pop().flatten()?;
    Some(String::from_utf8(record.value).expect("JSON"))
}
