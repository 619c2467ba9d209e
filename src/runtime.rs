//! What `lib/` can call: an object of plain functions per runtime.
//!
//! Functions and not the methods of a class, since finding and borrowing the object behind a class's method takes four
//! times as long as the rest of a call.

use super::environment;
use super::guarded;
use super::memory::{NativeLeases, board_array, numbers_array};
use super::options::NativeOptions;
use super::records::{NativeStatuses, Numbers, Texts};
use driver::Driver;
use driver::recipe::HostsBun;
use driver::uplink::write_records;
use linux::threads::clock;
use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use pool::{Adopted, Callback, Custody, Exit, Fact, Failure, ImageAnswer, Input, Key, RunId, StopStage};
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Weak, so that it never keeps the process alive. One ring that nobody has heard yet is enough.
type Bell = ThreadsafeFunction<(), (), (), Status, false, true, 1>;

/// A runtime's functions. `ring` is called when there are records to `take`, on JavaScript's own thread, at a later
/// turn; whether a call has queued records at once is on the board.
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
    let driver = guarded(|| {
        Driver::new(options.settings(warden_path.into()), move || {
            // A full queue means that a ring is on its way; a closing one, that nobody is there.
            let _ = bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
        })
    })?;
    environment::add(env, &driver)?;
    let mut functions = Functions { env, driver, numbers: Arc::default(), object: Object::new(env)? };
    functions.of_users()?;
    functions.of_processes()?;
    functions.of_others()?;
    functions.of_memory()?;
    Ok(functions.object)
}

struct Functions<'env> {
    env: &'env Env,
    driver: Arc<Driver>,
    numbers: Arc<Numbers>,
    object: Object<'env>,
}

impl Functions<'_> {
    /// Adds a function. A panic in it becomes an exception.
    fn add<A, R>(&mut self, name: &str, work: impl Fn(&Arc<Driver>, A) -> R + 'static) -> Result<()>
    where
        A: TupleFromSliceValues,
        R: ToNapiValue,
    {
        self.define(name, move |driver, call| Ok(work(driver, call.args::<A>()?)))
    }

    /// Adds a function that takes nothing.
    fn add_plain<R>(&mut self, name: &str, work: impl Fn(&Arc<Driver>) -> R + 'static) -> Result<()>
    where
        R: ToNapiValue,
    {
        self.define(name, move |driver, _| Ok(work(driver)))
    }

    fn define<R>(
        &mut self,
        name: &str,
        work: impl Fn(&Arc<Driver>, FunctionCallContext) -> Result<R> + 'static,
    ) -> Result<()>
    where
        R: ToNapiValue,
    {
        let driver = self.driver.clone();
        let function =
            self.env.create_function_from_closure::<(), R, _>(name, move |call| work(&driver, call))?;
        self.object.set(name, function)
    }

    /// Adds a function that is an input for the pool.
    fn input<A>(&mut self, name: &str, input: impl Fn(A) -> Input + 'static) -> Result<()>
    where
        A: TupleFromSliceValues,
    {
        self.add(name, move |driver, arguments: A| driver.feed_quietly(input(arguments)))
    }

    /// Adds a function that tells something of a process. Nearly always something comes of it at once, so it returns what
    /// `take` would, unless JavaScript has not read all of the batch before.
    fn report<A>(&mut self, name: &str, report: impl Fn(&Arc<Driver>, A) + 'static) -> Result<()>
    where
        A: TupleFromSliceValues,
    {
        let numbers = self.numbers.clone();
        self.add(name, move |driver, arguments: A| {
            report(driver, arguments);
            if numbers.are_read() { next_batch(driver, &numbers, false) } else { Texts::default() }
        })
    }

    /// Adds a function that tells a fact about a run, its first argument.
    fn fact<A>(&mut self, name: &str, fact: impl Fn(A) -> (f64, Fact) + 'static) -> Result<()>
    where
        A: TupleFromSliceValues,
    {
        self.report(name, move |driver, arguments: A| {
            let (run, fact) = fact(arguments);
            driver.feed_quietly(Input::Fact(run_id(run), fact));
        })
    }

    fn of_users(&mut self) -> Result<()> {
        self.input("ensure", |(key, call): (String, f64)| Input::Ensure {
            key: Key::from(key),
            call: call as u64,
        })?;
        self.input("restart", |(key, call): (String, f64)| Input::Restart {
            key: Key::from(key),
            call: call as u64,
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
        self.add("abort", |driver, (key, call): (String, f64)| driver.abort(Key::from(key), call as u64))?;
        self.input("kill", |(key, call): (String, f64)| Input::Kill {
            key: Key::from(key),
            call: call as u64,
        })?;
        self.input("clearBackoff", |(key,): (String,)| Input::ClearBackoff { key: Key::from(key) })?;
        self.add_plain("drain", |driver| driver.feed_quietly(Input::Drain))?;
        self.add("dispose", |driver, (call,): (f64,)| driver.dispose(call as u64))?;
        // Keys that `ensure` would refuse right now for earlier failures.
        self.add_plain("backingOff", |driver| driver.stats().backoff as u32)?;
        self.add("inspect", |driver, (key,): (String,)| {
            NativeStatuses::of(driver.status(&key).into_iter().collect())
        })?;
        self.add_plain("list", |driver| NativeStatuses::of(driver.statuses()))?;
        // After `dispose`: lets go of the threads.
        self.add_plain("close", |driver| {
            driver.close();
            environment::remove(driver);
        })
    }

    fn of_processes(&mut self) -> Result<()> {
        self.add("mayStart", |driver, (key,): (String,)| driver.may_start(&key))?;
        // Before a call that a start may come of.
        self.add_plain("noteHost", |driver| driver.note_host())?;
        // What tenants get of variables, as `KEY=value`. Without it, each start is to be prepared.
        self.add("setVariables", |driver, (variables,): (Option<Vec<String>>,)| {
            driver.set_variables(variables);
        })?;
        // The host runs in this Bun.
        self.add("setBun", |driver, (path, is_compiled): (String, bool)| {
            driver.set_bun(HostsBun { path, is_compiled });
        })?;
        // Starts a run that was to be prepared, with these variables.
        self.add("launch", |driver, (run, variables): (f64, Vec<String>)| {
            driver.launch(run_id(run), variables);
        })?;
        // A process of the user's exists. Port 0: it uses the one it was offered.
        // One that stands for a resource elsewhere may not have the port itself.
        self.report("started", |driver, (run, pid, port, is_elsewhere): (f64, u32, u32, bool)| {
            let port = u16::try_from(port).ok().filter(|port| *port != 0);
            driver.started_external(run_id(run), pid, port, is_elsewhere);
        })?;
        // A process has been brought back from a snapshot, and answers.
        // Returns whether it can be taken.
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
        // Signal 0: none that is known.
        type Exited = (f64, Option<i32>, i32, String);
        self.fact("exited", |(run, exit_code, signal, output): Exited| {
            let signal = Some(signal).filter(|signal| *signal > 0);
            (run, Fact::Exited(Exit { exit_code, signal, output: output.into(), cpu_ms: None }))
        })?;
        self.fact("idleAnswered", |(run, stop): (f64, bool)| (run, Fact::IdleAnswered { stop }))?;
        // The user's snapshot driver has answered what it was last asked for the key, other than by `restored`.
        self.report("imageAnswered", |driver, (key, answer): (String, u32)| {
            let answer = match answer {
                0 => ImageAnswer::No,
                1 => ImageAnswer::Yes,
                _ => ImageAnswer::Failed,
            };
            driver.feed_quietly(Input::Image { key: Key::from(key), answer });
        })?;
        self.fact("imageLate", |(run, text): (f64, String)| (run, Fact::ImageLate { text }))?;
        // After `close`, when no record can say so: whether the key's image is to be dropped.
        self.add("dropsImage", |driver, (key,): (String,)| driver.is_dropping_image(&key))?;
        // The user's `kill` is about to be called.
        self.report("stopAsked", |driver, (run, forced): (f64, bool)| {
            driver.sample_before_stop(run_id(run));
            let fact = Fact::StopAsked { stage: stop_stage(forced) };
            driver.feed_quietly(Input::Fact(run_id(run), fact));
        })?;
        // It has settled.
        self.fact("stopAnswered", |(run, forced): (f64, bool)| {
            (run, Fact::StopAnswered { asked: stop_stage(forced) })
        })?;
        self.fact("stopRefused", |(run, forced, text): (f64, bool, String)| {
            let failure = Failure::Thrown { by: Callback::Kill, text };
            (run, Fact::StopRefused { asked: stop_stage(forced), failure })
        })
    }

    /// Processes that somebody else has started.
    fn of_others(&mut self) -> Result<()> {
        // Holds on to one that was started within these times (see `sinceBootMs`); its end is the answer to the ticket.
        // Returns why it is not taken, if it is not.
        self.add("watch", |driver, (ticket, pid, born_after, born_before): (f64, f64, f64, f64)| {
            let born = (born_after as u64, born_before as u64);
            driver.watch(ticket as u64, pid as u32, born).err()
        })?;
        self.add("unwatch", |driver, (ticket,): (f64,)| driver.unwatch(ticket as u64))?;
        // Returns why it cannot be signalled, if it cannot.
        self.add("signal", |driver, (ticket, force): (f64, bool)| driver.signal(ticket as u64, force).err())?;
        // The answer to the ticket is 1 if the port answers within this time at 127.0.0.1, 2 if it does at ::1, else 0.
        self.add("askReady", |driver, (ticket, port, pid, timeout_ms): (f64, u32, u32, f64)| {
            let timeout = Duration::from_millis(timeout_ms as u64);
            driver.ask_ready(ticket as u64, port as u16, pid, timeout);
        })?;
        // The answer to the ticket is the port that the process listens on, or 0 if there is none within this time.
        self.add("findPort", |driver, (ticket, pid, timeout_ms): (f64, u32, f64)| {
            driver.find_port(ticket as u64, pid, Duration::from_millis(timeout_ms as u64));
        })?;
        self.add_plain("sinceBootMs", |_| clock::since_boot_ms() as f64)
    }

    fn of_memory(&mut self) -> Result<()> {
        let numbers = self.numbers.clone();
        self.object.set("board", board_array(self.driver.board.clone()))?;
        self.object.set("numbers", numbers_array(numbers.clone()))?;
        self.add("leases", |driver, (chunk,): (u32,)| {
            driver.lease_chunk(chunk as usize).map(NativeLeases::from)
        })?;
        // Takes the next batch: writes its numbers, returns its texts, undefined if it has none. With lines left of the
        // one before there are none in this one.
        self.add("take", move |driver, (has_lines,): (bool,)| next_batch(driver, &numbers, has_lines))
    }
}

fn next_batch(driver: &Arc<Driver>, numbers: &Numbers, has_lines: bool) -> Texts {
    let batch = write_records(driver.take_records(has_lines));
    numbers.store(&batch.numbers);
    Texts(batch.texts)
}

fn stop_stage(forced: bool) -> StopStage {
    if forced { StopStage::Force } else { StopStage::Ask }
}

fn run_id(run: f64) -> RunId {
    RunId(run as u64)
}

/// Silent, unless `ABSOLUTE_RUNTIME_LOG` holds a filter such as `debug` or `linux=trace`.
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
