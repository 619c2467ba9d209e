//! The usage of a process tree, for any pid, without a runtime.

use linux::process::accounting::{Root, Usage, sample_once};
use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[napi(object, object_from_js = false)]
pub struct NativeUsage {
    pub cpu_ms: f64,
    pub rss_bytes: f64,
    pub processes: u32,
}

impl From<Usage> for NativeUsage {
    fn from(usage: Usage) -> Self {
        NativeUsage {
            cpu_ms: usage.cpu_ms as f64,
            rss_bytes: usage.rss_bytes as f64,
            processes: usage.processes as u32,
        }
    }
}

type Answer = ThreadsafeFunction<Option<NativeUsage>, (), Option<NativeUsage>, Status, false>;

/// The calls that wait for the next pass over `/proc`, and whether a thread makes one.
#[derive(Default)]
struct Waiting {
    calls: Vec<(u32, Answer)>,
    has_thread: bool,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { calls: Vec::new(), has_thread: false });

/// Calls back once, in a later turn, with the usage of the tree, or with null if there is no such
/// process. Keeps the host process alive until then. A thread of its own reads, since a pass over
/// a full `/proc` takes long; all calls that come during one pass share the next. Throws if the
/// thread cannot be started.
#[napi]
pub fn read_tree(pid: u32, answer: Function<Option<NativeUsage>, ()>) -> Result<()> {
    let answer = answer
        .build_threadsafe_function::<Option<NativeUsage>>()
        .callee_handled::<false>()
        .build()?;
    let mut waiting = waiting();
    waiting.calls.push((pid, answer));
    if !waiting.has_thread {
        let thread = std::thread::Builder::new().name("abs-tree".into()).spawn(serve_waiting_calls);
        if let Err(error) = thread {
            // Only this call waits: without a thread no pass is made.
            waiting.calls.clear();
            return Err(Error::new(Status::GenericFailure, format!("no thread: {error}")));
        }
        waiting.has_thread = true;
    }
    Ok(())
}

/// Makes passes until no call waits.
fn serve_waiting_calls() {
    loop {
        let calls = {
            let mut waiting = waiting();
            waiting.has_thread = !waiting.calls.is_empty();
            mem::take(&mut waiting.calls)
        };
        if calls.is_empty() {
            return;
        }
        let roots: Vec<Root> = calls.iter().map(|(pid, _)| Root::Process(*pid)).collect();
        let usages = sample_once(&roots);
        for ((_, answer), usage) in calls.into_iter().zip(usages) {
            answer.call(usage.map(NativeUsage::from), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}
