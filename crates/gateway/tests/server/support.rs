//! A gateway whose tenants and hooks do what a test says.

use bytes::Bytes;
use gateway::forwarded::Cidr;
use gateway::hooks::{AccessEvent, Asked, Page, RefusedRequest, WokenOver, WokenRequest};
use gateway::refusal::{Refusal, Why};
use gateway::route::Route;
use gateway::settings::{CertifiedPem, Limits, Listen, Routing, Settings, Wake};
use gateway::{Gateway, Hooks, InUse, Tenants};
use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// So long a test waits for what has to come.
pub const SOON: Duration = Duration::from_secs(20);

pub type TestGateway = Gateway<Scripted, Scripted>;

/// The tenants and the hooks of a gateway.
#[derive(Clone)]
pub struct Scripted(Arc<Script>);

pub struct Script {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    /// Waits for a start that are not over, and those that began.
    pub waits: AtomicUsize,
    pub wakes: AtomicUsize,
    /// Questions to the hooks.
    pub asked: AtomicUsize,
    run: AtomicU64,
}

#[derive(Default)]
pub struct State {
    /// Tenants that run, and cannot be had: they sleep.
    pub there: HashSet<String>,
    pub existing: HashSet<String>,
    pub running: HashMap<String, SocketAddr>,
    /// What a start ends in at once.
    pub refusals: HashMap<String, Refusal>,
    pub keys: HashMap<String, Result<Option<String>, ()>>,
    pub page: Option<Page>,
    /// No page comes while this is so.
    pub are_pages_held: bool,
    pub certificates: HashMap<String, CertifiedPem>,
    pub events: Vec<AccessEvent>,
    pub woken: Vec<WokenRequest>,
    pub over: Vec<WokenOver>,
    pub traceparent: Option<String>,
}

#[allow(clippy::new_without_default)]
impl Scripted {
    pub fn new() -> Scripted {
        Scripted(Arc::new(Script {
            state: Mutex::default(),
            changed: watch::Sender::default(),
            waits: AtomicUsize::default(),
            wakes: AtomicUsize::default(),
            asked: AtomicUsize::default(),
            run: AtomicU64::default(),
        }))
    }

    /// With a tenant that runs.
    pub fn with(key: &str, backend: &Backend) -> Scripted {
        let scripted = Scripted::new();
        scripted.change(|state| {
            state.existing.insert(key.to_owned());
            state.running.insert(key.to_owned(), backend.address);
        });
        scripted
    }

    /// With a tenant that does not run.
    pub fn asleep(key: &str) -> Scripted {
        let scripted = Scripted::new();
        scripted.change(|state| {
            state.existing.insert(key.to_owned());
        });
        scripted
    }

    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.changed.send_modify(|version| *version += 1);
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic")
    }

    pub fn script(&self) -> &Script {
        &self.0
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, holds: impl Fn(&Scripted) -> bool) {
        until(what, || holds(self));
    }
}

/// Waits until something holds that no event tells of.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..SOON.as_millis() / 5 {
        if holds() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("not in time: {what}");
}

pub struct Used(SocketAddr, u64);

impl InUse for Used {
    fn address(&self) -> SocketAddr {
        self.0
    }

    fn run(&self) -> u64 {
        self.1
    }

    fn revoked(&self) -> impl Future<Output = ()> + Send + 'static {
        std::future::pending()
    }
}

/// Counts a wait, also one that is given up.
struct Wait<'a>(&'a AtomicUsize);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Tenants for Scripted {
    type InUse = Used;

    fn acquire(&self, key: &str) -> Option<Used> {
        let address = *self.state().running.get(key)?;
        Some(Used(address, self.0.run.load(Ordering::SeqCst)))
    }

    fn is_there(&self, key: &str) -> bool {
        self.state().there.contains(key)
    }

    fn exists(&self, key: &str) -> bool {
        self.state().existing.contains(key)
    }

    async fn wake(&self, key: &str) -> Result<Used, Refusal> {
        self.0.wakes.fetch_add(1, Ordering::SeqCst);
        self.0.waits.fetch_add(1, Ordering::SeqCst);
        let _wait = Wait(&self.0.waits);
        let mut changed = self.0.changed.subscribe();
        loop {
            if let Some(used) = self.acquire(key) {
                return Ok(used);
            }
            if let Some(refusal) = self.state().refusals.get(key) {
                return Err(refusal.clone());
            }
            if changed.changed().await.is_err() {
                return Err(Refusal::new(503, Why::Draining));
            }
        }
    }
}

impl Hooks for Scripted {
    async fn ask(&self, request: Asked) -> Result<Option<String>, ()> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut changed = self.0.changed.subscribe();
        loop {
            if let Some(key) = self.state().keys.get(&request.host) {
                return key.clone();
            }
            changed.changed().await.map_err(|_| ())?;
        }
    }

    async fn page(&self, _: RefusedRequest) -> Option<Page> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut changed = self.0.changed.subscribe();
        while self.state().are_pages_held {
            changed.changed().await.ok()?;
        }
        self.state().page.clone()
    }

    async fn certificate(&self, server_name: Option<String>) -> Option<CertifiedPem> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        self.state().certificates.get(&server_name?).cloned()
    }

    async fn woken(&self, request: WokenRequest) -> Option<String> {
        let mut state = self.state();
        state.woken.push(request);
        state.traceparent.clone()
    }

    fn woken_over(&self, over: WokenOver) {
        self.state().over.push(over);
    }

    fn access(&self, event: AccessEvent) {
        self.state().events.push(event);
    }
}

/// A tenant's server: answers each request with its head, and its body after that.
pub struct Backend {
    pub address: SocketAddr,
    /// Heads that it has read.
    pub heads: Arc<Mutex<Vec<String>>>,
    held: watch::Sender<bool>,
}

impl Backend {
    pub fn start() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let held = watch::Sender::new(false);
        let (read, hold) = (heads.clone(), held.subscribe());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (read, hold) = (read.clone(), hold.clone());
                std::thread::spawn(move || answer(stream, &read, &hold));
            }
        });
        Backend { address, heads, held }
    }

    /// Answers nothing while this is so.
    pub fn hold(&self, is_held: bool) {
        self.held.send_replace(is_held);
    }

    pub fn seen(&self) -> usize {
        self.heads.lock().expect("no panic").len()
    }
}

fn answer(mut stream: TcpStream, heads: &Mutex<Vec<String>>, held: &watch::Receiver<bool>) {
    let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
    while let Some(head) = reader.head() {
        heads.lock().expect("no panic").push(head.clone());
        let mut body = head.clone().into_bytes();
        body.extend(reader.body(&head));
        until("the tenant is to answer", || !*held.borrow());
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        // At once: in two parts the second would wait for the acknowledgement of the first.
        if stream.write_all(&[head.into_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

/// Reads messages of HTTP/1.
pub struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: Read> Reader<S> {
    pub fn new(stream: S) -> Reader<S> {
        Reader { stream, buffer: Vec::new() }
    }

    fn more(&mut self) -> bool {
        let mut room = [0; 4096];
        let count = match self.stream.read(&mut room) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("neither bytes nor the end came")
            }
            Err(_) => 0,
        };
        self.buffer.extend_from_slice(&room[..count]);
        count > 0
    }

    /// The next head, with its empty line; `None` at the end.
    pub fn head(&mut self) -> Option<String> {
        loop {
            let end = self.buffer.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.buffer.drain(..end + 4).collect();
                return Some(String::from_utf8(head).expect("text"));
            }
            if !self.more() {
                return None;
            }
        }
    }

    pub fn body(&mut self, head: &str) -> Vec<u8> {
        let head = head.to_ascii_lowercase();
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().to_owned())
        };
        if field("transfer-encoding:").is_some() {
            let mut body = Vec::new();
            loop {
                let line = self.line();
                let size = usize::from_str_radix(line.trim(), 16).expect("a size");
                body.extend(self.exactly(size));
                self.line();
                if size == 0 {
                    return body;
                }
            }
        }
        let length = field("content-length:").map_or(0, |length| length.parse().expect("a length"));
        self.exactly(length)
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.drain(..=end).collect();
                return String::from_utf8(line).expect("text");
            }
            assert!(self.more(), "the message breaks off");
        }
    }

    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length && self.more() {}
        let length = length.min(self.buffer.len());
        self.buffer.drain(..length).collect()
    }

    /// All that is left.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buffer)
    }

    pub fn answer(&mut self) -> Answer {
        let head = self.head().expect("an answer");
        let body = self.body(&head);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.expect("a status");
        Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        let is = |line: &&str| line.len() > name.len() && line[..name.len()] == *name;
        self.head.lines().find(is).map(|line| line[name.len() + 1..].trim())
    }
}

/// A client of HTTP/1.
pub struct Client {
    pub stream: TcpStream,
    pub reader: Reader<TcpStream>,
}

impl Client {
    pub fn connect<T: Tenants, H: Hooks>(gateway: &Gateway<T, H>) -> Client {
        Client::to(address_of(gateway))
    }

    pub fn to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(SOON)).expect("a socket");
        let reader = Reader::new(stream.try_clone().expect("a second descriptor"));
        Client { stream, reader }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("written");
    }

    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes);
        self.answer()
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(get(path))
    }

    pub fn answer(&mut self) -> Answer {
        self.reader.answer()
    }

    /// All that comes until the connection ends; it has to.
    pub fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.reader.rest()).into_owned()
    }

    /// So many bytes, or all until the connection ends.
    pub fn rest_of(&mut self, length: usize) -> Vec<u8> {
        self.reader.exactly(length)
    }

    pub fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

pub fn address_of<T: Tenants, H: Hooks>(gateway: &Gateway<T, H>) -> SocketAddr {
    let at = &gateway.listening()[0];
    let (hostname, port) = (at.hostname.as_deref().expect("a name"), at.port.expect("a port"));
    SocketAddr::new(hostname.parse().expect("an address"), port)
}

/// Listens at a free port, and routes by the path.
pub fn settings() -> Settings {
    Settings {
        routing: Routing::Rule(Route::Path),
        listen: vec![Listen::Tcp { hostname: "127.0.0.1".to_owned(), port: 0 }],
        tls: None,
        trust: Vec::<Cidr>::new(),
        wake: Wake::default(),
        limits: Limits::default(),
        access: false,
        pages: false,
        trace: false,
        threads: Some(2),
    }
}

pub fn start(settings: Settings, scripted: &Scripted) -> TestGateway {
    Gateway::start(settings, scripted.clone(), scripted.clone()).expect("a gateway")
}

pub fn page(body: &'static str) -> Page {
    Page {
        headers: vec![
            ("content-type".to_owned(), "text/plain".to_owned()),
            ("transfer-encoding".to_owned(), "chunked".to_owned()),
        ],
        body: Bytes::from_static(body.as_bytes()),
    }
}
