//! The member's thread.

use crate::routes::{Host, Owner};
use crate::{Local, OnEvent, Peers, Routes, orders};
use fleet::{Action, AskId, CallId, Fleet, Input, Key, Question, Reply, Want, Where};
use linux::threads::alarm::Alarm;
use linux::threads::clock::since_boot_ms;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Follower, News, Range, Rhythm, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The records that every host follows: `claims/`, `era` and `hosts/`. Beats come before them and
/// moves after them, so that nobody is told of those.
const FOLLOWED: (&str, &str) = ("claims/", "hosts0");

/// Between them, and nobody's record.
const PULSE: &str = "followed";

/// What the rest of the host asks and tells.
pub enum Message {
    Want { key: Key, want: Want, answer: oneshot::Sender<Where> },
    Tenant { key: Key, is: fleet::Local },
    Asked { from: Arc<str>, question: Question, answer: oneshot::Sender<Reply> },
    Drain { done: oneshot::Sender<()> },
    Close { done: oneshot::Sender<()> },
}

/// What work that was begun has come to.
enum Result {
    /// For the value.
    Input(Input),
    /// From the follower with this number: one before it is not heard any more.
    News(u64, News),
    /// Whoever wanted the key does not wait any more.
    Left { call: CallId, key: Key },
}

/// The value, and what it is carried out with.
pub struct Drive<S, L, P> {
    fleet: Arc<Mutex<Fleet>>,
    routes: Arc<Routes>,
    store: Arc<S>,
    local: L,
    peers: P,
    on_event: OnEvent,
    results: mpsc::UnboundedSender<Result>,
    inbox: Option<mpsc::UnboundedReceiver<Result>>,
    /// The one that is heard, and its number.
    follower: Option<JoinHandle<()>>,
    followers: u64,
    next_call: u64,
    wanted: HashMap<CallId, Waiting>,
    done: HashMap<CallId, oneshot::Sender<()>>,
    asked: HashMap<AskId, oneshot::Sender<Reply>>,
}

/// Somebody who wants a key.
struct Waiting {
    answer: oneshot::Sender<Where>,
    /// Watches whether they still wait.
    watcher: JoinHandle<()>,
}
