//! What a process tree uses, for any pid, without a runtime.

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

/// Who waits for the next pass, and whether one is being made.
#[derive(Default)]
struct Waiting {
    calls: Vec<(u32, Answer)>,
    is_read: bool,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { calls: Vec::new(), is_read: false });

/// Calls back once, at a later turn, with what the tree uses, or null if there is no such process. Keeps the host process
/// alive until then. Reads on a thread of its own, since a pass over a full `/proc` takes its time; all calls that come
/// while one is made share the next.
#[napi]
pub fn read_tree(pid: u32, answer: Function<Option<NativeUsage>, ()>) -> Result<()> {
    let answer =
        answer.build_threadsafe_function::<Option<NativeUsage>>().callee_handled::<false>().build()?;
    let mut waiting = waiting();
    waiting.calls.push((pid, answer));
    if !waiting.is_read {
        let thread = std::thread::Builder::new().name("abs-tree".into()).spawn(read_until_nobody_waits);
        if let Err(error) = thread {
            // Nobody but this call: without a thread there is no pass that others would wait for.
            waiting.calls.clear();
            return Err(Error::new(Status::GenericFailure, format!("no thread: {error}")));
        }
        waiting.is_read = true;
    }
    Ok(())
}

fn read_until_nobody_waits() {
    loop {
        let calls = {
            let mut waiting = waiting();
            waiting.is_read = !waiting.calls.is_empty();
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
