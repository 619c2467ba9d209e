//! The member's thread.

use crate::routes::{Host, Owner};
use crate::{Local, OnEvent, Peers, Routes, orders};
use fleet::{Action, AskId, CallId, Fleet, Input, Key, Question, Reply, Want, Where};
use linux::threads::alarm::Alarm;
use linux::threads::clock::since_boot_ms;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Follower, News, Range, Rhythm, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The records that every host follows: `claims/`, `era` and `hosts/`. Beats come before them and
/// moves after them, so that nobody is told of those.
const FOLLOWED: (&str, &str) = ("claims/", "hosts0");

/// Between them, and a record of nobody's.
const PULSE: &str = "followed";

/// What the rest of the host asks and tells.
pub enum Message {
    Want { call: CallId, key: Key, want: Want, answer: oneshot::Sender<Where> },
    Abort { call: CallId, key: Key },
    Asked { from: Arc<str>, question: Question, answer: oneshot::Sender<Reply> },
    Drain { call: CallId, done: oneshot::Sender<()> },
    Close { call: CallId, done: oneshot::Sender<()> },
    Abandon,
}

/// What work that was begun has come to.
enum Outcome {
    Input(Input),
    /// From the follower with this number: one before it is not heard any more.
    News(u64, News),
}

/// Who waits for an answer of the value's.
#[derive(Default)]
struct Callers {
    wanted: HashMap<CallId, oneshot::Sender<Where>>,
    done: HashMap<CallId, oneshot::Sender<()>>,
    asked: HashMap<AskId, oneshot::Sender<Reply>>,
    /// Questions of other hosts so far.
    asks: u64,
}

/// The value, and what it is carried out with.
pub struct Drive<S, L, P> {
    pub fleet: Arc<Mutex<Fleet>>,
    pub routes: Arc<Routes>,
    pub store: S,
    pub local: L,
    pub peers: P,
    pub on_event: OnEvent,
}

impl<S: Store + Clone, L: Local, P: Peers> Drive<S, L, P> {
    /// Goes on until the last member is dropped. Errors: no descriptor was left for the timer.
    pub async fn run(self, messages: mpsc::UnboundedReceiver<Message>) -> io::Result<()> {
        let alarm = Alarm::new()?;
        let (outcomes, results) = mpsc::unbounded_channel();
        let hosts = HashMap::new();
        let follower = None;
        let callers = Callers::default();
        let (followers, cluster) = (0, 0);
        let mut driven =
            Driven { drive: self, outcomes, callers, hosts, follower, followers, cluster };
        driven.follow();
        driven.watch();
        driven.run(alarm, messages, results).await
    }
}

/// A drive that runs.
struct Driven<S, L, P> {
    drive: Drive<S, L, P>,
    outcomes: mpsc::UnboundedSender<Outcome>,
    callers: Callers,
    /// Hosts of routes, so that many routes to one share it.
    hosts: HashMap<Arc<str>, Arc<Host>>,
    follower: Option<JoinHandle<()>>,
    /// Followers so far.
    followers: u64,
    /// The store that was listed last.
    cluster: u64,
}

impl<S: Store + Clone, L: Local, P: Peers> Driven<S, L, P> {
    async fn run(
        &mut self,
        mut alarm: Alarm,
        mut messages: mpsc::UnboundedReceiver<Message>,
        mut results: mpsc::UnboundedReceiver<Outcome>,
    ) -> io::Result<()> {
        loop {
            let deadline = self.fleet().next_deadline();
            let due = async {
                match deadline {
                    Some(at_ms) => alarm.wait_until(at_ms).await,
                    None => std::future::pending().await,
                }
            };
            // What the time says comes first: a host that did not run for long must not act on
            // what it is told before it knows that.
            tokio::select! {
                biased;
                due = due => {
                    due?;
                    self.step(Input::Tick);
                }
                Some(outcome) = results.recv() => self.take(outcome),
                message = messages.recv() => match message {
                    None | Some(Message::Abandon) => return Ok(()),
                    Some(message) => self.hear(message),
                },
            }
        }
    }

    fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Input(input) => self.step(input),
            Outcome::News(follower, news) if follower == self.followers => {
                if let Some(input) = orders::heard(news, &mut self.cluster) {
                    self.step(input);
                }
            }
            Outcome::News(..) => {}
        }
    }

    fn hear(&mut self, message: Message) {
        let input = match message {
            Message::Want { call, key, want, answer } => {
                self.callers.wanted.insert(call, answer);
                Input::Want { call, key, want }
            }
            Message::Abort { call, key } => {
                // Of one that was answered meanwhile the value knows nothing any more.
                if self.callers.wanted.remove(&call).is_none() {
                    return;
                }
                Input::Abort { call, key }
            }
            Message::Asked { from, question, answer } => {
                self.callers.asks += 1;
                let ask = AskId(self.callers.asks);
                self.callers.asked.insert(ask, answer);
                Input::Asked { ask, from, question }
            }
            Message::Drain { call, done } => {
                self.callers.done.insert(call, done);
                Input::Drain { call }
            }
            Message::Close { call, done } => {
                self.callers.done.insert(call, done);
                Input::Close { call }
            }
            Message::Abandon => return,
        };
        self.step(input);
    }

    fn step(&mut self, input: Input) {
        let actions = self.fleet().handle(since_boot_ms(), input);
        for action in actions {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        let drive = &self.drive;
        match action {
            Action::Commit { order, transaction } => {
                let store = drive.store.clone();
                self.begin(async move {
                    let answer = orders::commit(&store, transaction).await;
                    Input::Answered { order, answer }
                });
            }
            Action::Read { order, keys } => {
                let store = drive.store.clone();
                self.begin(async move {
                    let answer = orders::read(&store, keys).await;
                    Input::Answered { order, answer }
                });
            }
            Action::List => self.follow(),
            Action::Admit { key, epoch } => drive.local.admit(&key, epoch),
            Action::Prepare { key, epoch } => {
                let prepared = drive.local.prepare(&key, epoch);
                self.begin(async move {
                    match prepared.await {
                        true => Input::Prepared { key },
                        false => Input::NotPrepared { key },
                    }
                });
            }
            Action::Hold { key } => {
                let quiet = drive.local.hold(&key);
                self.begin(async move {
                    quiet.await;
                    Input::Quiet { key }
                });
            }
            Action::Resume { key } => drive.local.resume(&key),
            Action::Withdraw { key, at_once } => {
                let gone = drive.local.withdraw(&key, at_once);
                self.begin(async move {
                    gone.await;
                    Input::Withdrawn { key }
                });
            }
            Action::Fence => {
                let gone = drive.local.fence();
                self.begin(async move {
                    gone.await;
                    Input::Stopped
                });
            }
            Action::StopAll => {
                let gone = drive.local.stop_all();
                self.begin(async move {
                    gone.await;
                    Input::Stopped
                });
            }
            Action::Route { key, owner } => self.route(key, owner),
            Action::ServeUntil { at_ms } => drive.routes.set_serve_until(at_ms),
            Action::Ask { ask, host, address, question } => {
                let reply = drive.peers.ask(host, address, question);
                self.begin(async move { Input::Replied { ask, reply: reply.await } });
            }
            Action::Reply { ask, reply } => answer(self.callers.asked.remove(&ask), reply),
            Action::Answer { call, place } => answer(self.callers.wanted.remove(&call), place),
            Action::Done { call } => answer(self.callers.done.remove(&call), ()),
            Action::Emit(event) => (self.drive.on_event)(event),
        }
    }

    fn route(&mut self, key: Key, owner: Option<fleet::Owner>) {
        let owner = owner.map(|fleet::Owner { host, address, epoch }| {
            let known = self.hosts.get(&host).filter(|known| *known.address == *address).cloned();
            let host = known.unwrap_or_else(|| {
                let entry = Host { id: host.to_string(), address: address.to_string() };
                let entry = Arc::new(entry);
                self.hosts.insert(host, entry.clone());
                entry
            });
            Owner { host, epoch }
        });
        self.drive.routes.set(key, owner);
    }

    /// Begins to follow the store, from a whole list on.
    fn follow(&mut self) {
        self.followers += 1;
        let number = self.followers;
        let follower = Follower {
            store: self.drive.store.clone(),
            range: Range::between(FOLLOWED.0, FOLLOWED.1),
            pulse: PULSE.to_owned(),
            rhythm: Rhythm::default(),
        };
        let outcomes = self.outcomes.clone();
        let following = tokio::spawn(async move {
            let never = follower.run(|news| {
                let _ = outcomes.send(Outcome::News(number, news));
            });
            match never.await {}
        });
        if let Some(before) = self.follower.replace(following) {
            before.abort();
        }
    }

    /// Hears what becomes of tenants.
    fn watch(&self) {
        let outcomes = self.outcomes.clone();
        tokio::spawn(self.drive.local.watch(move |key, is| {
            let _ = outcomes.send(Outcome::Input(Input::Tenant { key, is }));
        }));
    }

    /// Work that ends with something to tell the value.
    fn begin(&self, work: impl Future<Output = Input> + Send + 'static) {
        let outcomes = self.outcomes.clone();
        tokio::spawn(async move {
            let _ = outcomes.send(Outcome::Input(work.await));
        });
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.drive.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers who asked, if they still wait.
fn answer<T>(waiting: Option<oneshot::Sender<T>>, with: T) {
    if let Some(waiting) = waiting {
        let _ = waiting.send(with);
    }
}
