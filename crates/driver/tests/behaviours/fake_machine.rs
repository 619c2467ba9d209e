//! A fake machine: nothing happens on it but what the test makes happen.

use driver::machine::{Engine, Looked, Machine, Port};
use linux::net::activity::{Activity, Backlogs};
use linux::net::ownership::{Owner, Stranger};
use linux::net::readiness::NotReady;
use linux::process::accounting::Root;
use linux::threads::clock::Sleep;
use linux::threads::off_thread::OffThread;
use linux::warden_link::run::{FoundOutput, Program, RunSink, supervise_found};
use linux::warden_link::surroundings::Noted;
use linux::warden_link::surviving::{NotRecovered, Notice, Recovery};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc as unbounded, oneshot, watch};
use tokio::task::AbortHandle;
use warden::{Depth, Mark, StopStage};

/// The wall clock at the begin of each test.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// A machine whose clock moves only by [`pass`](Self::pass), whose ports are numbers, and whose
/// engine records what it is asked to do.
pub struct FakeMachine {
    steady_ms: watch::Sender<u64>,
    held: Arc<Mutex<BTreeSet<u16>>>,
    next_port: AtomicU16,
    pub has_no_engine: AtomicBool,
    pub is_short: AtomicBool,
    pub engine: Arc<FakeEngine>,
}

pub struct FakeEngine {
    tasks: Handle,
    users: AtomicUsize,
    /// What the engine's thread waits for before it ends.
    end: Mutex<Option<mpsc::Receiver<()>>>,
    probes: Mutex<HashMap<u16, oneshot::Sender<Result<IpAddr, NotReady>>>>,
    /// The ports that were asked, and what for.
    pub asked: Mutex<Vec<(u16, String)>>,
    pub launched: AtomicUsize,
    /// The variables of each launch.
    pub environments: Mutex<Vec<Vec<String>>>,
    /// How much work was to be done on other threads.
    pub looks: AtomicUsize,
    /// How often `recover` was asked.
    pub recoveries: AtomicUsize,
    pub stops: Mutex<Vec<(u64, StopStage)>>,
    /// What sleepers were told: so deep; `None`: to wake.
    pub rests: Mutex<Vec<(u64, Option<Depth>)>>,
    /// The ports with open connections; `None`: they cannot be seen.
    pub connected: Mutex<Option<BTreeSet<u16>>>,
    /// What each tree is seen to do by itself, and the CPU time that all have used.
    pub activity: Mutex<Activity>,
    pub cpu_ms: AtomicU64,
    /// The connections that wait to be taken in.
    pub backlogs: Mutex<Vec<(u16, u32)>>,
    /// No server takes a connection in.
    pub takes_none: AtomicBool,
    pub listening: Mutex<BTreeMap<u16, IpAddr>>,
    pub unused: Mutex<Vec<u16>>,
    pub released: Mutex<Vec<u16>>,
    /// What `recover` answers, when the test says it.
    recovery: Mutex<Option<oneshot::Receiver<Result<Recovery, NotRecovered>>>>,
    notices: tokio::sync::Mutex<unbounded::UnboundedReceiver<Notice>>,
    /// What the warden was told of runs and listeners since this was taken.
    pub told: Mutex<Vec<String>>,
}

/// What the test says in the place of a surviving warden.
pub struct FakeWarden {
    pub recovery: Option<oneshot::Sender<Result<Recovery, NotRecovered>>>,
    pub notices: unbounded::UnboundedSender<Notice>,
}

pub struct FakePort {
    number: u16,
    held: Arc<Mutex<BTreeSet<u16>>>,
}

impl Port for FakePort {
    fn number(&self) -> u16 {
        self.number
    }
    fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(std::fs::File::open("/dev/null")?.into())
    }
}

impl Drop for FakePort {
    fn drop(&mut self) {
        self.held.lock().unwrap().remove(&self.number);
    }
}

impl FakeMachine {
    /// The engine's thread ends only when `end` receives, or when its sender is dropped. Must be
    /// called in a tokio runtime, which runs the engine's tasks.
    pub fn new(end: mpsc::Receiver<()>) -> (Arc<FakeMachine>, FakeWarden) {
        let (tell, recovery) = oneshot::channel();
        let (notices, noticed) = unbounded::unbounded_channel();
        let warden = FakeWarden { recovery: Some(tell), notices };
        let engine = FakeEngine {
            tasks: Handle::current(),
            users: AtomicUsize::new(0),
            end: Mutex::new(Some(end)),
            probes: Mutex::default(),
            asked: Mutex::default(),
            launched: AtomicUsize::new(0),
            environments: Mutex::default(),
            looks: AtomicUsize::new(0),
            recoveries: AtomicUsize::new(0),
            stops: Mutex::default(),
            rests: Mutex::default(),
            connected: Mutex::default(),
            activity: Mutex::default(),
            cpu_ms: AtomicU64::new(0),
            backlogs: Mutex::default(),
            takes_none: AtomicBool::new(false),
            listening: Mutex::default(),
            unused: Mutex::default(),
            released: Mutex::default(),
            recovery: Mutex::new(Some(recovery)),
            notices: noticed.into(),
            told: Mutex::default(),
        };
        let machine = Arc::new(FakeMachine {
            steady_ms: watch::Sender::new(1),
            held: Arc::default(),
            next_port: AtomicU16::new(40_000),
            has_no_engine: AtomicBool::new(false),
            is_short: AtomicBool::new(false),
            engine: Arc::new(engine),
        });
        (machine, warden)
    }

    /// Moves both clocks on.
    pub fn pass(&self, ms: u64) {
        self.steady_ms.send_modify(|now_ms| *now_ms += ms);
    }

    pub fn held_ports(&self) -> Vec<u16> {
        self.held.lock().unwrap().iter().copied().collect()
    }
}

impl FakeEngine {
    fn cpu_ms_now(&self) -> Option<u64> {
        Some(self.cpu_ms.load(Ordering::Relaxed))
    }

    /// Answers the probe of the port, at this address.
    pub fn answer_probe(&self, port: u16, at: IpAddr) {
        let probe = self.probes.lock().unwrap().remove(&port);
        let _ = probe.expect("it is being asked").send(Ok(at));
    }
}

impl Machine for FakeMachine {
    type Port = FakePort;
    type Engine = FakeEngine;

    fn share_engine(&self) -> io::Result<Arc<FakeEngine>> {
        if self.has_no_engine.load(Ordering::Relaxed) {
            return Err(io::Error::other("no thread is left"));
        }
        self.engine.users.fetch_add(1, Ordering::Relaxed);
        Ok(self.engine.clone())
    }
    fn steady_ms(&self) -> u64 {
        *self.steady_ms.borrow()
    }
    fn precise_us(&self) -> u64 {
        1_000 * self.steady_ms()
    }
    fn wall_ms(&self) -> u64 {
        EPOCH_MS + self.steady_ms()
    }
    fn since_boot_ms(&self) -> u64 {
        self.steady_ms()
    }
    fn last_absence(&self) -> (u64, (u64, u64)) {
        (0, (0, 0))
    }
    async fn sleep_until(&self, at_ms: u64, _how: Sleep) -> bool {
        self.steady_ms.subscribe().wait_for(|now_ms| *now_ms >= at_ms).await.is_ok()
    }
    fn reserve_port(&self, _tries: usize, is_free: impl Fn(u16) -> bool) -> Option<FakePort> {
        loop {
            let port = self.next_port.fetch_add(1, Ordering::Relaxed);
            if is_free(port) {
                return self.hold_port(port);
            }
        }
    }
    fn hold_port(&self, port: u16) -> Option<FakePort> {
        let is_new = self.held.lock().unwrap().insert(port);
        is_new.then(|| FakePort { number: port, held: self.held.clone() })
    }
    fn found_port(&self, _socket: OwnedFd) -> Option<FakePort> {
        None
    }
    async fn is_memory_short(&self, _: &FakeEngine, _: u64) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }
}

impl Engine for FakeEngine {
    type Port = FakePort;
    type Turn = ();

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(task).abort_handle()
    }
    /// Fails: the work would read `/proc`, where the fake processes are not.
    fn off_thread<T: Send + 'static>(
        &self,
        _work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        self.looks.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err(io::Error::other("there is nothing to look at")))
    }
    fn give_back(self: Arc<Self>, then: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
        let is_last = self.users.fetch_sub(1, Ordering::Relaxed) == 1;
        let end = self.end.lock().unwrap().take();
        is_last.then(|| {
            std::thread::spawn(move || {
                end.map(|end| end.recv());
                then();
            })
        })
    }
    fn looks_at_groups(&self) -> OffThread {
        OffThread::default()
    }
    async fn predecessors_gone(&self) {}
    async fn turn(&self) {}
    async fn supervise(
        &self,
        program: Program,
        _noted: Noted,
        _turn: (),
        _patience: Duration,
        _sink: &(impl RunSink + Send + Sync),
    ) {
        self.launched.fetch_add(1, Ordering::Relaxed);
        self.environments.lock().unwrap().push(program.environment);
    }
    fn stop(&self, number: u64, stage: StopStage) {
        self.stops.lock().unwrap().push((number, stage));
    }
    fn continue_helpers(&self) {}
    fn rest(&self, number: u64, depth: Depth) {
        self.rests.lock().unwrap().push((number, Some(depth)));
    }
    fn rouse(&self, number: u64) {
        self.rests.lock().unwrap().push((number, None));
    }
    async fn connected(&self, tenants: Vec<(u16, Option<Root>)>) -> io::Result<Vec<bool>> {
        let connected = self.connected.lock().unwrap();
        let connected = connected.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        Ok(tenants.iter().map(|(port, _)| connected.contains(port)).collect())
    }
    async fn has_taken_in(&self, tenant: (u16, Option<Root>)) -> io::Result<bool> {
        Ok(self.connected(vec![tenant]).await?.contains(&true))
    }
    async fn look_at(&self, trees: Vec<Root>) -> io::Result<Vec<Looked>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let (activity, cpu_ms) = (Some(self.activity.lock().unwrap().clone()), self.cpu_ms_now());
        Ok(trees.iter().map(|_| Looked { activity: activity.clone(), cpu_ms }).collect())
    }
    async fn cpu_ms_of(&self, trees: Vec<Root>) -> io::Result<Vec<Option<u64>>> {
        Ok(trees.iter().map(|_| self.cpu_ms_now()).collect())
    }
    async fn look_at_backlogs(&self, looks: Backlogs) -> io::Result<(Backlogs, Vec<(u16, u32)>)> {
        Ok((looks, self.backlogs.lock().unwrap().clone()))
    }
    async fn takes_a_connection(&self, _: SocketAddr) {
        if self.takes_none.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    }
    async fn recover(&self) -> Result<Recovery, NotRecovered> {
        self.recoveries.fetch_add(1, Ordering::Relaxed);
        let recovery = self.recovery.lock().unwrap().take();
        recovery.expect("it is asked once").await.expect("the test says what is found")
    }
    async fn notice(&self) -> Option<Notice> {
        self.notices.lock().await.recv().await
    }
    async fn supervise_found(&self, found: FoundOutput, sink: &(impl RunSink + Send + Sync)) {
        supervise_found(found, sink).await;
    }
    fn mark(&self, number: u64, mark: Mark, detail: u8) {
        self.told.lock().unwrap().push(format!("{mark:?} {number} {detail}"));
    }
    fn end_is_told(&self, number: u64) {
        self.told.lock().unwrap().push(format!("taken {number}"));
    }
    fn detach(&self) {
        self.told.lock().unwrap().push("detach".into());
    }
    fn keep_listener(&self, slot: u64, _socket: OwnedFd) {
        self.told.lock().unwrap().push(format!("keep {slot}"));
    }
    fn drop_listener(&self, slot: u64) {
        self.told.lock().unwrap().push(format!("drop {slot}"));
    }
    fn port_in_stock(&self, _is_free: impl Fn(u16) -> bool) -> Option<FakePort> {
        None
    }
    async fn look_for_port(&self, _is_free: impl Fn(u16) -> bool + Send) -> io::Result<FakePort> {
        Err(io::ErrorKind::AddrInUse.into())
    }
    fn unused_port(&self, port: FakePort) {
        self.unused.lock().unwrap().push(port.number);
    }
    fn release_port(&self, port: FakePort) {
        self.released.lock().unwrap().push(port.number);
    }
    async fn until_answered(
        &self,
        port: u16,
        path: &str,
        _: Owner,
        _: Duration,
    ) -> Result<IpAddr, NotReady> {
        self.asked.lock().unwrap().push((port, path.to_owned()));
        let (tell, told) = oneshot::channel();
        self.probes.lock().unwrap().insert(port, tell);
        told.await.expect("a probe is answered or aborted")
    }
    fn listening_address(&self, port: u16) -> Option<IpAddr> {
        self.listening.lock().unwrap().get(&port).copied()
    }
    async fn is_owned(&self, _: Owner, _: IpAddr, _: u16) -> Result<bool, Stranger> {
        Ok(true)
    }
}
