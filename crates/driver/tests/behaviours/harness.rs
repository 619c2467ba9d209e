//! The harness: a driver on a fake machine (`fake_machine.rs`). The test plays the part of
//! JavaScript.

use crate::fake_machine::{FakeMachine, FakeWarden};
use driver::confinement::Asked;
use driver::recipe::Recipe;
use driver::uplink::Record;
use driver::{Driver, Settings};
use linux::warden_link::client::{Rest, Started};
use linux::warden_link::surviving::Survive;
use pool::{CallId, Config, Exit, Fact, ImageAnswer, Input, Outcome, RunId};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use warden::{Depth, StopStage};

/// More turns of the scheduler than any chain of tasks in these tests takes.
const TURNS: usize = 50;

/// A driver on a fake machine, and the calls that JavaScript would make. Dropping it lets the
/// engine's thread end.
pub struct Harness {
    pub machine: Arc<FakeMachine>,
    pub driver: Arc<Driver<FakeMachine>>,
    pub warden: FakeWarden,
    rings: mpsc::Receiver<()>,
    end: Option<mpsc::Sender<()>>,
    last_call: CallId,
}

/// A pool of ten tenants that the warden spawns, without idle stops, observations or a gate.
pub fn config() -> Config {
    Config::plain()
}

/// A process of this pid that the warden has spawned.
pub fn spawned(pid: u32) -> Started {
    Started { pid, keeper_pid: 1, group: 0 }
}

impl Harness {
    /// Must be called in a tokio runtime, which runs the engine's tasks.
    pub fn new(pool: Config) -> Harness {
        Harness::with(pool, false, None)
    }

    /// One whose tenants outlive their host.
    pub fn surviving(pool: Config) -> Harness {
        let survive = Survive {
            directory: "/no/such/directory".into(),
            name: "test".into(),
            for_ms: 60_000,
            stop_grace_ms: 5_000,
            take_over: false,
        };
        Harness::with(pool, false, Some(survive))
    }

    /// One in which functions of the user's say what each start is like.
    pub fn asking(pool: Config) -> Harness {
        Harness::with(pool, true, None)
    }

    fn with(pool: Config, asks_for_settings: bool, survive: Option<Survive>) -> Harness {
        let (end, ends) = mpsc::channel();
        let (machine, warden) = FakeMachine::new(ends);
        let settings = Settings {
            pool,
            recipe: Recipe {
                root: "/tenants".into(),
                command: vec!["server".into()],
                runs_start_script: false,
                has_default_env: true,
                asked: Asked::default(),
            },
            warden_path: "/no/such/program".into(),
            has_log: false,
            custom_readiness: false,
            asks_for_settings,
            readiness_timeout: Duration::from_secs(30),
            survive,
            keep_free_bytes: Some(1),
        };
        let (bell, rings) = mpsc::channel();
        let driver = Driver::with(machine.clone(), settings, move || bell.send(()).unwrap());
        Harness { machine, driver, warden, rings, end: Some(end), last_call: 0 }
    }

    /// Makes a call as JavaScript. Returns its number.
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

    /// Reports an answer of the user's snapshot driver.
    pub fn image(&self, key: &str, answer: ImageAnswer) {
        self.driver.feed_quietly(Input::Image { key: key.into(), answer });
    }

    pub fn records(&self) -> Vec<Record> {
        self.driver.take_records(false)
    }

    /// Takes the next batch: the names of its records.
    pub fn record_names(&self) -> Vec<String> {
        self.records().iter().map(name).collect()
    }

    /// Lets all tasks run until they wait.
    pub async fn run_tasks(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    /// Moves the clock on, and lets all tasks run.
    pub async fn pass(&self, ms: u64) {
        self.machine.pass(ms);
        self.run_tasks().await;
    }

    /// Takes the next batch and launches the runs that it asks to prepare. Returns them, with
    /// their ports.
    pub fn launch_all(&self) -> Vec<(RunId, u16)> {
        let prepared: Vec<_> = self.records().iter().filter_map(prepared).collect();
        for (run, _) in &prepared {
            self.driver.launch(*run, Vec::new());
        }
        prepared
    }

    /// Starts the key's process, which does not answer yet. Returns its run and port.
    pub fn spawned(&mut self, key: &str) -> (RunId, u16) {
        self.ensure(key);
        let (run, port) = self.launch_all()[0];
        self.driver.started(run, run.0, spawned(100 + run.0 as u32));
        (run, port)
    }

    /// Starts the key's tenant until it is ready, and takes its records. Returns its run and port.
    pub async fn running(&mut self, key: &str) -> (RunId, u16) {
        let (run, port) = self.spawned(key);
        self.answers(port, Ipv4Addr::LOCALHOST.into()).await;
        self.records();
        (run, port)
    }

    /// Lets the process that is being probed on the port answer.
    pub async fn answers(&self, port: u16, at: IpAddr) {
        self.run_tasks().await;
        self.machine.engine.answer_probe(port, at);
        self.run_tasks().await;
    }

    /// Lets the run's process exit.
    pub async fn exit(&self, run: RunId) {
        self.driver.ended(run, Exit { exit_code: Some(0), ..Exit::default() });
        self.run_tasks().await;
    }

    /// Takes the stops that the engine was asked for since the last call.
    pub fn stops(&self) -> Vec<(u64, StopStage)> {
        std::mem::take(&mut self.machine.engine.stops.lock().unwrap())
    }

    /// Takes the orders to sleep and to wake (`None`) that the engine was given since the last call.
    pub fn rests(&self) -> Vec<(u64, Option<Depth>)> {
        std::mem::take(&mut self.machine.engine.rests.lock().unwrap())
    }

    /// The keeper of this run has answered an order.
    pub async fn rested(&self, run: RunId, rest: Rest) {
        self.driver.rested(run, rest);
        self.run_tasks().await;
    }

    pub fn held_ports(&self) -> Vec<u16> {
        self.machine.held_ports()
    }

    /// Whether the bell was rung since the last call.
    pub fn is_rung(&self) -> bool {
        self.rings.try_iter().count() > 0
    }

    /// Lets the engine's thread end, and waits for the ring that follows.
    pub fn end_engine(&mut self) {
        self.is_rung();
        self.end.take();
        self.rings.recv_timeout(Duration::from_secs(20)).expect("the end of the engine rings");
    }
}

fn prepared(record: &Record) -> Option<(RunId, u16)> {
    match record {
        Record::Prepare { run, port, .. } => Some((*run, *port)),
        _ => None,
    }
}

/// The name of a record's variant.
pub fn name(record: &Record) -> String {
    let text = format!("{record:?}");
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

/// The answer to this call among the records.
pub fn answer(records: &[Record], to: CallId) -> Option<&Outcome> {
    records.iter().find_map(|record| match record {
        Record::Settle { call, outcome, .. } if *call == to => Some(outcome),
        _ => None,
    })
}
