//! The exported class: one object per runtime. Methods that may have queued records return whether there are any, so
//! that JavaScript fetches them without being rung.

use super::guarded;
use super::memory::{NativeLeases, board_array, numbers_array};
use super::options::NativeOptions;
use super::records::{Encoded, Numbers};
use crate::driver::Driver;
use crate::os::run::Program;
use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use pool::{Callback, Exit, Fact, Failure, Input, Key, RunId, StopStage};
use std::sync::{Arc, Weak};

/// Weak, so that it never keeps the process alive. One ring that nobody has heard yet is enough.
type Bell = ThreadsafeFunction<(), (), (), Status, false, true, 1>;

#[napi]
pub struct NativeRuntime {
    driver: Arc<Driver>,
    numbers: Arc<Numbers>,
}

#[napi]
impl NativeRuntime {
    /// `ring` is called when there are records to `take`, on JavaScript's own thread, at a later turn.
    #[napi(constructor)]
    pub fn new(env: Env, options: NativeOptions, ring: Function<(), ()>) -> Result<Self> {
        init_tracing();
        let bell: Bell = ring
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .max_queue_size::<1>()
            .callee_handled::<false>()
            .build()?;
        let driver = guarded(|| {
            Driver::new(options.into(), move || {
                // A full queue means that a ring is on its way; a closing one, that nobody is there.
                let _ = bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
            })
        })?;
        // Runs when a worker is terminated, and at a natural end of the host.
        let ending: Weak<Driver> = Arc::downgrade(&driver);
        env.add_env_cleanup_hook(ending, |ending| {
            let _ = guarded(|| ending.upgrade().inspect(|driver| driver.abandon()));
        })?;
        Ok(NativeRuntime { driver, numbers: Arc::default() })
    }

    /// Cores that this process may use, limits of its container included.
    #[napi]
    pub fn available_parallelism() -> u32 {
        std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
    }

    fn feed(&self, input: Input) -> Result<bool> {
        guarded(|| {
            self.driver.feed_quietly(input);
            !self.driver.uplink.is_empty()
        })
    }

    fn fact(&self, run: f64, fact: Fact) -> Result<bool> {
        self.feed(Input::Fact(run_id(run), fact))
    }

    #[napi]
    pub fn ensure(&self, key: String, call: f64) -> Result<bool> {
        self.feed(Input::Ensure { key: Key::from(key), call: call as u64 })
    }

    #[napi]
    pub fn restart(&self, key: String, call: f64) -> Result<bool> {
        self.feed(Input::Restart { key: Key::from(key), call: call as u64 })
    }

    #[napi]
    pub fn kill(&self, key: String, call: f64) -> Result<bool> {
        self.feed(Input::Kill { key: Key::from(key), call: call as u64 })
    }

    #[napi]
    pub fn clear_backoff(&self, key: String) -> Result<bool> {
        self.feed(Input::ClearBackoff { key: Key::from(key) })
    }

    #[napi]
    pub fn drain(&self) -> Result<bool> {
        self.feed(Input::Drain)
    }

    #[napi]
    pub fn dispose(&self, call: f64) -> Result<bool> {
        guarded(|| {
            self.driver.dispose(call as u64);
            !self.driver.uplink.is_empty()
        })
    }

    /// See `board.rs`.
    #[napi]
    pub fn board(&self) -> Result<Float64Array> {
        guarded(|| board_array(self.driver.board.clone()))
    }

    /// Keys that `ensure` would refuse right now for earlier failures.
    #[napi]
    pub fn backing_off(&self) -> Result<u32> {
        guarded(|| self.driver.stats().backoff as u32)
    }

    /// Starts the program for a run that was to be prepared.
    #[napi]
    pub fn launch(
        &self,
        run: f64,
        directory: String,
        command: Vec<String>,
        environment: Vec<String>,
    ) -> Result<bool> {
        guarded(|| {
            self.driver.launch(run_id(run), Program { directory, command, environment });
            !self.driver.uplink.is_empty()
        })
    }

    /// Whether the user's `spawn` is to be called for a run that was to be prepared.
    #[napi]
    pub fn begin(&self, run: f64) -> Result<bool> {
        guarded(|| self.driver.begin_external(run_id(run)))
    }

    /// `port` 0: it uses the one it was offered.
    #[napi]
    pub fn started(&self, run: f64, pid: u32, port: u32) -> Result<bool> {
        guarded(|| {
            let port = u16::try_from(port).ok().filter(|port| *port != 0);
            self.driver.started_external(run_id(run), pid, port);
            !self.driver.uplink.is_empty()
        })
    }

    #[napi]
    pub fn start_failed(&self, run: f64, text: String) -> Result<bool> {
        self.fact(run, Fact::StartFailed(Failure::Thrown { by: Callback::Spawn, text }))
    }

    #[napi]
    pub fn readiness(&self, run: f64, is_ready: bool) -> Result<bool> {
        self.fact(run, if is_ready { Fact::Ready } else { Fact::NotReady(Failure::ReadinessDenied) })
    }

    #[napi]
    pub fn readiness_failed(&self, run: f64, text: String) -> Result<bool> {
        self.fact(run, Fact::NotReady(Failure::Thrown { by: Callback::Readiness, text }))
    }

    #[napi]
    pub fn exited(&self, run: f64, exit_code: Option<i32>) -> Result<bool> {
        self.fact(run, Fact::Exited(Exit { exit_code, cpu_ms: None }))
    }

    /// The user's `kill` is about to be called.
    #[napi]
    pub fn stop_asked(&self, run: f64, forced: bool) -> Result<bool> {
        self.fact(run, Fact::StopAsked { stage: stop_stage(forced) })
    }

    #[napi]
    pub fn stop_refused(&self, run: f64, forced: bool, text: String) -> Result<bool> {
        let asked = stop_stage(forced);
        self.fact(run, Fact::StopRefused { asked, failure: Failure::Thrown { by: Callback::Kill, text } })
    }

    /// The numbers of the batch taken last.
    #[napi]
    pub fn numbers(&self) -> Result<Float64Array> {
        guarded(|| numbers_array(self.numbers.clone()))
    }

    /// Takes the next batch, see `records.rs`: writes its numbers, returns its texts, null if it has none.
    #[napi]
    pub fn take<'env>(&self, env: &'env Env) -> Result<Option<Array<'env>>> {
        let texts = guarded(|| Encoded::write(self.driver.take_records(), &self.numbers))?;
        if texts.is_empty() {
            return Ok(None);
        }
        let mut array = env.create_array(texts.len() as u32)?;
        for (index, text) in texts.iter().enumerate() {
            if text.is_ascii() {
                array.set(index as u32, env.create_string_latin1(text.as_bytes())?)?;
            } else {
                array.set(index as u32, env.create_string(text)?)?;
            }
        }
        Ok(Some(array))
    }

    #[napi]
    pub fn leases(&self, chunk: u32) -> Result<Option<NativeLeases>> {
        guarded(|| self.driver.lease_chunk(chunk as usize).map(NativeLeases::from))
    }

    /// After `dispose`: lets go of the threads.
    #[napi]
    pub fn close(&self) -> Result<()> {
        guarded(|| self.driver.close())
    }
}

fn stop_stage(forced: bool) -> StopStage {
    if forced { StopStage::Force } else { StopStage::Ask }
}

fn run_id(run: f64) -> RunId {
    RunId(run as u64)
}

/// Silent, unless `ABSOLUTE_RUNTIME_LOG` holds a filter such as `debug` or `absolutejs_runtime::os=trace`.
fn init_tracing() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let Ok(filter) = std::env::var("ABSOLUTE_RUNTIME_LOG") else { return };
        let filter = tracing_subscriber::EnvFilter::new(filter);
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let _ = subscriber.try_init();
    });
}
