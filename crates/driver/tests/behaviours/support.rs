//! A driver on a stage (`stage.rs`), and the words that the tests are written in; the test is
//! JavaScript as well.

use crate::stage::Stage;
use driver::recipe::Recipe;
use driver::uplink::Record;
use driver::{Driver, Settings};
use pool::{Backoff, CallId, Config, Custody, Exit, Fact, GateConfig, ImageAnswer, Input, Outcome, RunId};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use warden::StopStage;

/// More turns than any chain of tasks here takes.
const TURNS: usize = 50;

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
        custody: Custody::OURS,
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
        let stage = Stage::new(ends);
        let settings = Settings {
            pool,
            recipe: Recipe {
                root: "/tenants".into(),
                command: vec!["server".into()],
                runs_start_script: false,
            },
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

    /// What the user's snapshot driver says of the key's image.
    pub fn image(&self, key: &str, answer: ImageAnswer) {
        self.driver.feed_quietly(Input::Image { key: key.into(), answer });
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
        self.stage.pass(ms);
        self.turn().await;
    }

    /// Takes all records and runs what is to be prepared: each run with its port.
    pub fn launch_all(&self) -> Vec<(RunId, u16)> {
        let prepared: Vec<_> = self.records().iter().filter_map(prepared).collect();
        for (run, _) in &prepared {
            self.driver.launch(*run, Vec::new());
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
        self.stage.engine.answer_probe(port, at);
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

    pub fn held_ports(&self) -> Vec<u16> {
        self.stage.held_ports()
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
