//! A machine on which nothing happens but what the test makes happen, and a driver on it; the test is JavaScript as well.

use driver::machine::{Engine, Machine, Port};
use driver::uplink::Record;
use driver::{Driver, Settings};
use linux::net::ownership::{Owner, Stranger};
use linux::net::readiness::NotReady;
use linux::threads::clock::Sleep;
use linux::warden_link::run::{Program, RunSink};
use linux::warden_link::surroundings::Noted;
use pool::{Backoff, CallId, Config, Exit, Fact, GateConfig, Input, Outcome, Processes, RunId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use warden::StopStage;

/// When each test begins.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// More turns than any chain of tasks here takes.
const TURNS: usize = 50;

/// A clock that stands still, ports that are numbers, and an engine that notes what it is told.
pub struct Stage {
    steady_ms: watch::Sender<u64>,
    held: Arc<Mutex<BTreeSet<u16>>>,
    next_port: AtomicU64,
    pub has_no_engine: AtomicBool,
    pub engine: Arc<StageEngine>,
}

pub struct StageEngine {
    tasks: Handle,
    users: AtomicUsize,
    /// Its thread ends only when this is sent.
    end: Mutex<Option<mpsc::Receiver<()>>>,
    probes: Mutex<HashMap<u16, oneshot::Sender<Result<IpAddr, NotReady>>>>,
    pub launched: AtomicUsize,
    pub stops: Mutex<Vec<(u64, StopStage)>>,
    pub listening: Mutex<BTreeMap<u16, IpAddr>>,
    pub unused: Mutex<Vec<u16>>,
    pub let_go: Mutex<Vec<u16>>,
}

pub struct StagePort {
    number: u16,
    held: Arc<Mutex<BTreeSet<u16>>>,
}

impl Port for StagePort {
    fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for StagePort {
    fn drop(&mut self) {
        self.held.lock().unwrap().remove(&self.number);
    }
}

impl Machine for Stage {
    type Port = StagePort;
    type Engine = StageEngine;

    fn share_engine(&self) -> io::Result<Arc<StageEngine>> {
        if self.has_no_engine.load(Ordering::Relaxed) {
            return Err(io::Error::other("no thread is left"));
        }
        self.engine.users.fetch_add(1, Ordering::Relaxed);
        Ok(self.engine.clone())
    }
    fn steady_ms(&self) -> u64 {
        *self.steady_ms.borrow()
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
    fn reserve_port(&self, _tries: usize, is_free: impl Fn(u16) -> bool) -> Option<StagePort> {
        loop {
            let port = self.next_port.fetch_add(1, Ordering::Relaxed) as u16;
            if is_free(port) {
                return self.hold_port(port);
            }
        }
    }
    fn hold_port(&self, port: u16) -> Option<StagePort> {
        let is_new = self.held.lock().unwrap().insert(port);
        is_new.then(|| StagePort { number: port, held: self.held.clone() })
    }
}

impl Engine for StageEngine {
    type Port = StagePort;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(task).abort_handle()
    }
    /// What is looked for in `/proc` cannot be seen here.
    fn off_thread<T: Send + 'static>(
        &self,
        _work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
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
    fn launch(
        self: Arc<Self>,
        _program: Program,
        _noted: Noted,
        _patience: Duration,
        _sink: impl RunSink + Send + Sync + 'static,
    ) {
        self.launched.fetch_add(1, Ordering::Relaxed);
    }
    fn stop(&self, number: u64, stage: StopStage) {
        self.stops.lock().unwrap().push((number, stage));
    }
    fn continue_helpers(&self) {}
    fn port_in_stock(&self, _is_free: impl Fn(u16) -> bool) -> Option<StagePort> {
        None
    }
    async fn look_for_port(&self, _is_free: impl Fn(u16) -> bool + Send) -> io::Result<StagePort> {
        Err(io::ErrorKind::AddrInUse.into())
    }
    fn unused_port(&self, port: StagePort) {
        self.unused.lock().unwrap().push(port.number);
    }
    fn let_go_of_port(&self, port: StagePort) {
        self.let_go.lock().unwrap().push(port.number);
    }
    async fn until_answered(&self, port: u16, _: Owner, _: Duration) -> Result<IpAddr, NotReady> {
        let (tell, told) = oneshot::channel();
        self.probes.lock().unwrap().insert(port, tell);
        told.await.expect("a probe is answered or aborted")
    }
    fn place(&self, port: u16) -> Option<IpAddr> {
        self.listening.lock().unwrap().get(&port).copied()
    }
    async fn is_owned(&self, _: Owner, _: IpAddr, _: u16) -> Result<bool, Stranger> {
        Ok(true)
    }
}

/// A driver on a stage, and JavaScript.
pub struct House {
    pub stage: Arc<Stage>,
    pub driver: Arc<Driver<Stage>>,
    rings: mpsc::Receiver<()>,
    end: Option<mpsc::Sender<()>>,
    last_call: CallId,
}

/// Roomy, without idle stops, observations or a gate; our own processes.
pub fn config() -> Config {
    Config {
        max_concurrent: 10,
        idle_after_ms: None,
        sweep_interval_ms: 10_000,
        observe_interval_ms: None,
        tells_observations: true,
        stop_timeout_ms: 5_000,
        kill_patience_ms: 60_000,
        backoff: Backoff { base_ms: 1_000, max_ms: 60_000, max_failures: 10, min_uptime_ms: 0 },
        gate: GateConfig { width: None, patience_ms: None },
        processes: Processes::Own,
        asks_before_idle: false,
        heeds_connections: false,
        checkpoint_timeout_ms: None,
    }
}

/// A process of the warden's.
pub const KEEPER: u32 = 1;

impl House {
    /// To be called in a tokio runtime, which is the engine's.
    pub fn new(pool: Config) -> House {
        let (end, ends) = mpsc::channel();
        let engine = StageEngine {
            tasks: Handle::current(),
            users: AtomicUsize::new(0),
            end: Mutex::new(Some(ends)),
            probes: Mutex::default(),
            launched: AtomicUsize::new(0),
            stops: Mutex::default(),
            listening: Mutex::default(),
            unused: Mutex::default(),
            let_go: Mutex::default(),
        };
        let stage = Arc::new(Stage {
            steady_ms: watch::Sender::new(1),
            held: Arc::default(),
            next_port: AtomicU64::new(40_000),
            has_no_engine: AtomicBool::new(false),
            engine: Arc::new(engine),
        });
        let settings = Settings {
            pool,
            root: "/tenants".into(),
            warden_path: "/no/such/program".into(),
            has_log: false,
            custom_readiness: false,
            readiness_timeout: Duration::from_secs(30),
        };
        let (bell, rings) = mpsc::channel();
        let driver = Driver::with(stage.clone(), settings, move || bell.send(()).unwrap());
        House { stage, driver, rings, end: Some(end), last_call: 0 }
    }

    /// A call of JavaScript's.
    pub fn call(&mut self, input: impl FnOnce(CallId) -> Input) -> CallId {
        self.last_call += 1;
        self.driver.feed_quietly(input(self.last_call));
        self.last_call
    }

    pub fn ensure(&mut self, key: &str) -> CallId {
        self.call(|call| Input::Ensure { key: key.into(), call })
    }

    pub fn kill(&mut self, key: &str) -> CallId {
        self.call(|call| Input::Kill { key: key.into(), call })
    }

    pub fn dispose(&mut self) -> CallId {
        self.last_call += 1;
        self.driver.dispose(self.last_call);
        self.last_call
    }

    pub fn fact(&self, run: RunId, fact: Fact) {
        self.driver.feed_quietly(Input::Fact(run, fact));
    }

    pub fn records(&self) -> Vec<Record> {
        self.driver.take_records(false)
    }

    /// The records by their names alone.
    pub fn told(&self) -> Vec<String> {
        self.records().iter().map(name).collect()
    }

    /// Lets all tasks do what they can.
    pub async fn turn(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    pub async fn pass(&self, ms: u64) {
        self.stage.steady_ms.send_modify(|now_ms| *now_ms += ms);
        self.turn().await;
    }

    /// Takes all records and runs what is to be prepared: each run with its port.
    pub fn launch_all(&self) -> Vec<(RunId, u16)> {
        let prepared: Vec<_> = self.records().iter().filter_map(prepared).collect();
        for (run, _) in &prepared {
            let program = Program {
                directory: "/tenants/a".into(),
                command: vec!["server".into()],
                environment: Vec::new(),
                runs_start_script: false,
            };
            self.driver.launch(*run, program);
        }
        prepared
    }

    /// Starts the key's process, which does not answer yet.
    pub fn process_of(&mut self, key: &str) -> (RunId, u16) {
        self.ensure(key);
        let (run, port) = self.launch_all()[0];
        self.driver.started(run, run.0, 100 + run.0 as u32, KEEPER);
        (run, port)
    }

    /// A tenant that is ready; what was told of it has been read.
    pub async fn running(&mut self, key: &str) -> (RunId, u16) {
        let (run, port) = self.process_of(key);
        self.answers(port, Ipv4Addr::LOCALHOST.into()).await;
        self.records();
        (run, port)
    }

    /// The process that is being asked on the port answers.
    pub async fn answers(&self, port: u16, at: IpAddr) {
        self.turn().await;
        let probe = self.stage.engine.probes.lock().unwrap().remove(&port);
        let _ = probe.expect("it is being asked").send(Ok(at));
        self.turn().await;
    }

    /// A process of ours has ended.
    pub async fn exit(&self, run: RunId) {
        self.driver.ended(run, Exit { exit_code: Some(0), ..Exit::default() });
        self.turn().await;
    }

    pub fn stops(&self) -> Vec<(u64, StopStage)> {
        std::mem::take(&mut self.stage.engine.stops.lock().unwrap())
    }

    /// Whether JavaScript has been rung for since it was last looked.
    pub fn is_rung(&self) -> bool {
        self.rings.try_iter().count() > 0
    }

    /// Lets the engine's thread end, and waits for the ring with which that is told.
    pub fn end_engine(&mut self) {
        self.is_rung();
        self.end.take();
        self.rings.recv_timeout(Duration::from_secs(20)).expect("it is told");
    }
}

fn prepared(record: &Record) -> Option<(RunId, u16)> {
    match record {
        Record::Prepare { run, port, .. } => Some((*run, *port)),
        _ => None,
    }
}

pub fn name(record: &Record) -> String {
    let text = format!("{record:?}");
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

/// The answer to a call of JavaScript's among the records.
pub fn answer(records: &[Record], to: CallId) -> Option<&Outcome> {
    records.iter().find_map(|record| match record {
        Record::Settle { call, outcome, .. } if *call == to => Some(outcome),
        _ => None,
    })
}
