//! The functions of a runtime that `lib/` calls: one object of plain functions per runtime.
//!
//! They are not methods of a class, since to find and borrow the object behind a method takes four
//! times as long as the rest of a call.

use super::confinement::NativeInForce;
use super::environment;
use super::fleet::Slot;
use super::functions::{Functions, next_batch, run_id};
use super::guarded;
use super::memory::{NativeLeases, board_array, numbers_array};
use super::options::NativeOptions;
use super::records::NativeStatuses;
use super::tenant_settings::NativeTenantSettings;
use driver::Driver;
use driver::recipe::HostBun;
use linux::threads::clock;
use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use pool::{Adopted, Callback, Custody, Exit, Fact, Failure, ImageAnswer, Input, Key, StopStage};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// The call that rings for JavaScript. Weak, so that it does not keep the process alive. Its queue
/// holds one ring, since a second one before JavaScript comes would change nothing.
type Bell = ThreadsafeFunction<(), (), (), Status, false, true, 1>;

/// Opens a runtime and returns its functions. `ring` is called on JavaScript's thread, in a later
/// turn, when there are records to `take`; the board shows whether a call has queued records at
/// once.
///
/// The functions hold the runtime. It ends with `close` after `dispose`, or is abandoned when the
/// JavaScript environment ends. A panic in a function becomes an error that the function throws.
#[napi]
pub fn open_runtime<'env>(
    env: &'env Env,
    options: NativeOptions,
    warden_path: String,
    ring: Function<(), ()>,
) -> Result<Object<'env>> {
    init_tracing();
    let bell: Bell = ring
        .build_threadsafe_function::<()>()
        .weak::<true>()
        .max_queue_size::<1>()
        .callee_handled::<false>()
        .build()?;
    let root = options.spawn.is_none().then(|| PathBuf::from(&options.root));
    let driver = guarded(|| {
        Driver::new(options.settings(warden_path.into()), move || {
            // An error says that a ring is queued already, or that the environment is closing.
            let _ = bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
        })
    })?;
    environment::add(env, &driver)?;
    driver.begin_to_recover();
    let mut functions = Functions::new(env, driver)?;
    functions.call_functions()?;
    functions.process_functions()?;
    functions.external_functions()?;
    functions.memory_functions()?;
    let fleet = Arc::<Slot>::default();
    functions.gateway_functions(root.clone(), fleet.clone())?;
    functions.fleet_functions(root, fleet)?;
    functions.onlooker_functions()?;
    Ok(functions.object)
}

impl Functions<'_> {
    /// The functions behind the methods of the public object.
    fn call_functions(&mut self) -> Result<()> {
        self.input("ensure", |(key, call): (String, f64)| Input::Ensure {
            key: Key::from(key),
            call: call as u64,
        })?;
        self.input("restart", |(key, call): (String, f64)| Input::Restart {
            key: Key::from(key),
            call: call as u64,
        })?;
        // The one before goes on for `drain_ms` at most.
        self.input("replace", |(key, call, drain_ms): (String, f64, f64)| Input::Deploy {
            key: Key::from(key),
            call: call as u64,
            retire_ms: drain_ms as u64,
        })?;
        type Adopt = (String, f64, u32, u32, f64);
        self.input("adopt", |(key, call, pid, port, touched_at_ms): Adopt| Input::Adopt {
            key: Key::from(key),
            call: call as u64,
            process: Adopted {
                pid,
                port: port as u16,
                touched_at_ms: touched_at_ms as u64,
                custody: Custody::USERS,
            },
        })?;
        // Returns whether the call still waited.
        self.add("abort", |driver, (key, call): (String, f64)| {
            driver.abort(Key::from(key), call as u64)
        })?;
        self.input("kill", |(key, call): (String, f64)| Input::Kill {
            key: Key::from(key),
            call: call as u64,
        })?;
        // Wakes the key's tenant, if it sleeps. One that is awake is touched by its lease.
        self.input("touch", |(key,): (String,)| Input::Touch { key: Key::from(key) })?;
        self.input("warm", |(key,): (String,)| Input::Warm { key: Key::from(key) })?;
        self.input("clearBackoff", |(key,): (String,)| Input::ClearBackoff {
            key: Key::from(key),
        })?;
        self.add_plain("drain", |driver| driver.feed_quietly(Input::Drain))?;
        self.add("dispose", |driver, (call,): (f64,)| driver.dispose(call as u64))?;
        // Tenants that outlive their host: finds those of earlier hosts, and leaves these to the
        // next one. The calls are settled.
        self.add("recover", |driver, (call,): (f64,)| driver.recover(call as u64))?;
        // The user was told that the run has ended.
        self.add("endTold", |driver, (run,): (f64,)| driver.end_is_told(run_id(run)))?;
        self.add("detach", |driver, (call,): (f64,)| driver.detach(call as u64))?;
        // Returns the number of keys that `ensure` would refuse now because they are backing off.
        self.add_plain("backingOff", |driver| driver.stats().backoff as u32)?;
        self.add("inspect", |driver, (key,): (String,)| {
            NativeStatuses::of(driver.status(&key).into_iter().collect())
        })?;
        self.add_plain("list", |driver| NativeStatuses::of(driver.statuses()))?;
        // What the run's tenant is held within.
        self.add("inForce", |driver, (run,): (f64,)| {
            driver.in_force(run_id(run)).map(NativeInForce::from)
        })?;
        // After `dispose`: releases the threads.
        self.add_plain("close", |driver| {
            driver.close();
            environment::remove(driver);
        })
    }

    /// The functions for starts and stops.
    fn process_functions(&mut self) -> Result<()> {
        self.add("mayStart", |driver, (key,): (String,)| driver.may_start(&key))?;
        // Called before each call that may lead to a start.
        self.add_plain("noteHost", |driver| driver.note_host())?;
        // Sets the variables of tenants, as `KEY=value`. Without them each start is prepared in
        // JavaScript.
        self.add("setVariables", |driver, (variables,): (Option<Vec<String>>,)| {
            driver.set_variables(variables);
        })?;
        // Sets the Bun that the host runs in.
        self.add("setBun", |driver, (path, is_compiled): (String, bool)| {
            driver.set_bun(HostBun { path, is_compiled });
        })?;
        // What the user's functions say of a run that is prepared. Returns whether it is still wanted.
        self.add("rule", |driver, (run, settings): (f64, NativeTenantSettings)| {
            driver.rule(run_id(run), settings.settings())
        })?;
        // Launches a run that was prepared, with these variables.
        self.add("launch", |driver, (run, variables): (f64, Vec<String>)| {
            driver.launch(run_id(run), variables);
        })?;
        // The user's `spawn` has returned a process. Port 0: it uses the port that it was offered.
        // A process that stands for a remote server need not listen on the port itself.
        self.report("started", |driver, (run, pid, port, is_remote): (f64, u32, u32, bool)| {
            let port = u16::try_from(port).ok().filter(|port| *port != 0);
            driver.started_external(run_id(run), pid, port, is_remote);
        })?;
        // The run was restored from a snapshot, and answers. Returns whether it is accepted.
        self.add("restored", |driver, (run, pid, port): (f64, u32, u32)| {
            driver.restored(run_id(run), pid, port as u16)
        })?;
        self.fact("startFailed", |(run, text): (f64, String)| {
            (run, Fact::StartFailed(Failure::Thrown { by: Callback::Spawn, text }))
        })?;
        self.report("readiness", |driver, (run, is_ready): (f64, bool)| {
            driver.readiness_answered(run_id(run), is_ready);
        })?;
        self.fact("readinessFailed", |(run, text): (f64, String)| {
            (run, Fact::NotReady(Failure::Thrown { by: Callback::Readiness, text }))
        })?;
        // Signal 0: no signal, or an unknown one.
        type Exited = (f64, Option<i32>, i32, String);
        self.fact("exited", |(run, exit_code, signal, output): Exited| {
            let signal = Some(signal).filter(|signal| *signal > 0);
            let output = output.into();
            (run, Fact::Exited(Exit { exit_code, signal, output, ..Exit::default() }))
        })?;
        self.fact("idleAnswered", |(run, stop): (f64, bool)| (run, Fact::IdleAnswered { stop }))?;
        self.fact("sleepAnswered", |(run, sleep): (f64, bool)| {
            (run, Fact::SleepAnswered { sleep })
        })?;
        // The user's snapshot driver has answered the last question about the key: 0 no, 1 yes, 2
        // failed. A restore that succeeds is reported by `restored`.
        self.report("imageAnswered", |driver, (key, answer): (String, u32)| {
            let answer = match answer {
                0 => ImageAnswer::No,
                1 => ImageAnswer::Yes,
                _ => ImageAnswer::Failed,
            };
            driver.feed_quietly(Input::Image { key: Key::from(key), answer });
        })?;
        self.fact("imageLate", |(run, text): (f64, String)| (run, Fact::ImageLate { text }))?;
        // Returns whether the key's image is to be dropped: after `close`, when no record can say
        // so.
        self.add("dropsImage", |driver, (key,): (String,)| driver.is_dropping_image(&key))?;
        // The user's `kill` is about to be called.
        self.report("stopAsked", |driver, (run, forced): (f64, bool)| {
            driver.sample_before_stop(run_id(run));
            let fact = Fact::StopAsked { stage: stop_stage(forced) };
            driver.feed_quietly(Input::Fact(run_id(run), fact));
        })?;
        // The user's `kill` has resolved.
        self.fact("stopAnswered", |(run, forced): (f64, bool)| {
            (run, Fact::StopAnswered { asked: stop_stage(forced) })
        })?;
        self.fact("stopRefused", |(run, forced, text): (f64, bool, String)| {
            let failure = Failure::Thrown { by: Callback::Kill, text };
            (run, Fact::StopRefused { asked: stop_stage(forced), failure })
        })
    }

    /// The functions for foreign processes, which the runtime did not start.
    fn external_functions(&mut self) -> Result<()> {
        // Watches a process that was started between these times (see `sinceBootMs`); its exit
        // code answers the ticket. Returns why it is refused, if it is.
        self.add(
            "watch",
            |driver, (ticket, pid, born_after, born_before): (f64, f64, f64, f64)| {
                let born = (born_after as u64, born_before as u64);
                driver.watch(ticket as u64, pid as u32, born).err()
            },
        )?;
        self.add("unwatch", |driver, (ticket,): (f64,)| driver.unwatch(ticket as u64))?;
        // Returns why the process cannot be signalled, if it cannot.
        self.add("signal", |driver, (ticket, force): (f64, bool)| {
            driver.signal(ticket as u64, force).err()
        })?;
        // The answer to the ticket: 1 if the port answers at 127.0.0.1, 2 if it does at ::1, and 0
        // if it does not within this time.
        self.add("askReady", |driver, (ticket, port, pid, timeout_ms): (f64, u32, u32, f64)| {
            let timeout = Duration::from_millis(timeout_ms as u64);
            driver.ask_ready(ticket as u64, port as u16, pid, timeout);
        })?;
        // The answer to the ticket: the port that the process listens on, or 0 if there is none
        // within this time.
        self.add("findPort", |driver, (ticket, pid, timeout_ms): (f64, u32, f64)| {
            driver.find_port(ticket as u64, pid, Duration::from_millis(timeout_ms as u64));
        })?;
        self.add_plain("sinceBootMs", |_| clock::since_boot_ms() as f64)
    }

    /// The shared memory, and the functions that read batches.
    fn memory_functions(&mut self) -> Result<()> {
        let numbers = self.numbers.clone();
        self.object.set("board", board_array(self.driver.board.clone()))?;
        self.object.set("numbers", numbers_array(numbers.clone()))?;
        self.add("leases", |driver, (chunk,): (u32,)| {
            driver.lease_chunk(chunk as usize).map(NativeLeases::from)
        })?;
        // Takes the next batch: writes its numbers and returns its texts, or undefined if it has
        // none. With lines left of the batch before, this one has none.
        self.add("take", move |driver, (has_lines,): (bool,)| {
            next_batch(driver, &numbers, has_lines)
        })
    }
}

fn stop_stage(forced: bool) -> StopStage {
    if forced { StopStage::Force } else { StopStage::Ask }
}

/// Logs to standard error if `ABSOLUTE_RUNTIME_LOG` holds a filter such as `debug` or
/// `linux=trace`.
fn init_tracing() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let Ok(filter) = std::env::var("ABSOLUTE_RUNTIME_LOG") else { return };
        let Ok(targets) = filter.parse::<Targets>() else {
            return eprintln!(
                "ABSOLUTE_RUNTIME_LOG is not a filter such as debug or linux=trace: {filter:?}"
            );
        };
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
    });
}
