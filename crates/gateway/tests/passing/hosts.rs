//! Hosts whose picture of who has a key is what a test says.

use crate::support::{SOON, Scripted, settings, until};
use gateway::peer::{Encryption, Entry, Miss, Missed, Owner, Peer};
use gateway::refusal::Refusal;
use gateway::settings::{Routing, Settings};
use gateway::tenants::Reply;
use gateway::{Gateway, InUse, NoHooks, Tenants};
use http::HeaderValue;
use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// How long other hosts may be silent.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What the host `b` expects, and no other does.
pub const TOKEN: &str = "5e1f";

/// The tenants of a host.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    may_answer: Arc<AtomicBool>,
    waits: AtomicUsize,
}

#[derive(Default)]
pub struct State {
    pub places: HashMap<String, Place>,
    /// What takes the place of peers at which a key was not to be had, one after the other; `None`:
    /// it is waited for.
    pub instead: VecDeque<Result<Option<Place>, Refusal>>,
    pub missed: Vec<(String, String, Miss)>,
    pub asked: Vec<(String, String)>,
}

/// Where a key is.
#[derive(Clone)]
pub enum Place {
    Here(SocketAddr),
    There(There),
    /// A start ends in this.
    Refused(Refusal),
    /// It is waited for.
    Held,
}

/// The gateway of another host.
#[derive(Clone)]
pub struct There {
    pub address: SocketAddr,
    pub run: u64,
    peer: Arc<Peer>,
    gone: watch::Receiver<bool>,
    go: Arc<watch::Sender<bool>>,
}

impl There {
    pub fn at(host: &str, address: SocketAddr) -> There {
        There::with(host, address, TOKEN, None)
    }

    pub fn with(
        host: &str,
        address: SocketAddr,
        token: &str,
        encryption: Option<Encryption>,
    ) -> There {
        static RUNS: AtomicU64 = AtomicU64::new(1);
        let credentials = HeaderValue::try_from(format!("a {token}")).expect("a value");
        let host = host.to_owned();
        let peer = Arc::new(Peer { host, credentials, encryption, patience: PATIENCE });
        let (go, gone) = watch::channel(false);
        There { address, run: RUNS.fetch_add(1, SeqCst), peer, gone, go: Arc::new(go) }
    }

    /// The host is gone.
    pub fn goes(&self) {
        self.go.send_replace(true);
    }
}

impl Host {
    pub fn new() -> Host {
        Host(Arc::new(Inner {
            state: Mutex::default(),
            changed: watch::Sender::default(),
            may_answer: Arc::new(AtomicBool::new(true)),
            waits: AtomicUsize::default(),
        }))
    }

    pub fn with(key: &str, place: Place) -> Host {
        let host = Host::new();
        host.put(key, place);
        host
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic")
    }

    pub fn put(&self, key: &str, place: Place) {
        self.state().places.insert(key.to_owned(), place);
        self.0.changed.send_modify(|version| *version += 1);
    }

    pub fn next(&self, next: Result<Option<Place>, Refusal>) {
        self.state().instead.push_back(next);
    }

    pub fn fence(&self, is_fenced: bool) {
        self.0.may_answer.store(!is_fenced, SeqCst);
    }

    /// Waits until so many requests wait.
    pub fn until_waiting(&self, count: usize) {
        until("requests wait", || self.0.waits.load(SeqCst) == count);
    }

    fn used(&self, place: &Place) -> Option<Used> {
        let may_answer = self.0.may_answer.clone();
        match place {
            Place::Here(address) => Some(Used { address: *address, there: None, may_answer }),
            Place::There(there) => {
                Some(Used { address: there.address, there: Some(there.clone()), may_answer })
            }
            Place::Refused(_) | Place::Held => None,
        }
    }

    /// Its listener for other hosts.
    pub fn listen(&self, change: impl FnOnce(&mut Settings)) -> Gateway<Host, NoHooks> {
        let routing = Routing::Peers(Entry::Token(TOKEN.to_owned()));
        let mut settings = Settings { routing, threads: Some(1), ..settings() };
        change(&mut settings);
        Gateway::start(settings, self.clone(), NoHooks).expect("a gateway")
    }

    /// Its gateway for visitors.
    pub fn front(&self) -> (Gateway<Host, Scripted>, Scripted) {
        self.front_with(|_| {})
    }

    pub fn front_with(
        &self,
        change: impl FnOnce(&mut Settings),
    ) -> (Gateway<Host, Scripted>, Scripted) {
        let hooks = Scripted::new();
        let mut settings = Settings { access: true, threads: Some(1), ..settings() };
        change(&mut settings);
        (Gateway::start(settings, self.clone(), hooks.clone()).expect("a gateway"), hooks)
    }
}

struct Wait<'a>(&'a AtomicUsize);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Tenants for Host {
    type InUse = Used;

    fn acquire(&self, key: &str) -> Option<Used> {
        self.used(self.state().places.get(key)?)
    }

    fn exists(&self, key: &str) -> bool {
        self.state().places.contains_key(key)
    }

    async fn wake(&self, key: &str) -> Result<Used, Refusal> {
        self.0.waits.fetch_add(1, SeqCst);
        let _wait = Wait(&self.0.waits);
        let mut changed = self.0.changed.subscribe();
        loop {
            let place = self.state().places.get(key).cloned();
            if let Some(Place::Refused(refusal)) = place {
                return Err(refusal);
            }
            if let Some(used) = place.and_then(|place| self.used(&place)) {
                return Ok(used);
            }
            let _ = changed.changed().await;
        }
    }

    async fn instead(&self, key: &str, missed: &[Missed]) -> Result<Used, Refusal> {
        let next = {
            let mut state = self.state();
            let Missed { peer, miss } = missed.last().expect("one was missed").clone();
            state.missed.push((key.to_owned(), peer.host.clone(), miss));
            state.instead.pop_front().expect("it is scripted")
        };
        match next?.and_then(|place| self.used(&place)) {
            Some(used) => Ok(used),
            None => {
                self.put(key, Place::Held);
                self.wake(key).await
            }
        }
    }

    async fn asked(&self, question: &str, key: &str) -> Result<Reply, Refusal> {
        self.state().asked.push((question.to_owned(), key.to_owned()));
        match question {
            "state" => {
                let fields = vec![("absolute-state".to_owned(), "live".to_owned())];
                Ok(Reply { status: 204, fields, body: String::new() })
            }
            "states" => {
                let body = "of many tenants ".repeat(100_000);
                Ok(Reply { status: 200, fields: Vec::new(), body })
            }
            _ => Err(Refusal::elsewhere(Some(owner("c")))),
        }
    }
}

pub struct Used {
    address: SocketAddr,
    there: Option<There>,
    may_answer: Arc<AtomicBool>,
}

impl InUse for Used {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn run(&self) -> u64 {
        self.there.as_ref().map_or(u64::from(self.address.port()), |there| there.run)
    }

    fn revoked(&self) -> impl Future<Output = ()> + Send + 'static {
        let gone = self.there.as_ref().map(|there| there.gone.clone());
        async move {
            let Some(mut gone) = gone else { return std::future::pending().await };
            if gone.wait_for(|is_gone| *is_gone).await.is_err() {
                std::future::pending().await
            }
        }
    }

    fn peer(&self) -> Option<&Arc<Peer>> {
        self.there.as_ref().map(|there| &there.peer)
    }

    fn may_answer(&self) -> bool {
        self.may_answer.load(SeqCst)
    }
}

pub fn owner(host: &str) -> Owner {
    Owner { host: host.to_owned(), address: "10.0.0.3:7070".to_owned(), epoch: 7 }
}

/// A server that a test answers for byte by byte.
pub struct Raw(TcpListener);

impl Raw {
    pub fn new() -> Raw {
        Raw(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    pub fn accept(&self) -> TcpStream {
        let (stream, _) = self.0.accept().expect("a connection");
        stream.set_read_timeout(Some(SOON)).expect("a socket");
        stream
    }
}

/// An address at which nobody listens.
pub fn nobody() -> SocketAddr {
    Raw::new().address()
}

pub fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}
