//! What a process tree uses, for any pid, without a runtime.

use crate::os::accounting::{Root, Sampler, Usage};
use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

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

/// Calls back once, at a later turn, with what the tree uses, or null if there is no such process. Keeps the host process
/// alive until then. Reads on a thread of its own, since a pass over a full `/proc` takes its time.
#[napi]
pub fn read_tree(pid: u32, answer: Function<Option<NativeUsage>, ()>) -> Result<()> {
    let answer =
        answer.build_threadsafe_function::<Option<NativeUsage>>().callee_handled::<false>().build()?;
    let reading = move || {
        let usage = Sampler::default().sample(&[Root::Process(pid)]).pop().flatten();
        answer.call(usage.map(NativeUsage::from), ThreadsafeFunctionCallMode::NonBlocking);
    };
    let thread = std::thread::Builder::new().name("abs-tree".into()).spawn(reading);
    thread.map(drop).map_err(|error| Error::new(Status::GenericFailure, format!("no thread: {error}")))
}
