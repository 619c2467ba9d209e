//! Who has the tenants of a name, and the end of those that no host has.

use linux::warden_link::surviving::looking::{EndedAll, end, look};
use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use std::path::Path;

/// Who has the tenants of a name.
#[napi(object, object_from_js = false)]
pub struct NativeOwner {
    pub protocol: u32,
    pub version: String,
    pub warden_pid: u32,
    /// 0: no host has them.
    pub owner_pid: u32,
    pub epoch: f64,
    /// Since when that is so, in milliseconds since the epoch.
    pub since_ms: f64,
    pub runs: u32,
    /// Why it cannot be said; else absent.
    pub problem: Option<String>,
}

/// What came of ending the tenants of a name: `ended`, `nobody`, `inUse` or `failed`.
#[napi(object, object_from_js = false)]
pub struct NativeEnded {
    pub outcome: String,
    pub pid: Option<u32>,
    pub runs: Option<u32>,
    pub reason: Option<String>,
}

/// Calls back once, in a later turn, with who has the tenants of a name in this directory, or with
/// null if there are none. Keeps the host process alive until then. Throws if no thread can be
/// started.
#[napi]
pub fn look_at_owner(
    directory: String,
    name: String,
    answered: Function<Option<NativeOwner>, ()>,
) -> Result<()> {
    answer_from_thread(answered, move || match look(Path::new(&directory), &name) {
        Ok(welcome) => welcome.map(|welcome| NativeOwner {
            protocol: welcome.protocol.into(),
            version: welcome.version,
            warden_pid: welcome.warden_pid,
            owner_pid: welcome.owner_pid,
            epoch: welcome.epoch as f64,
            since_ms: welcome.since_unix_ms as f64,
            runs: welcome.runs,
            problem: None,
        }),
        Err(error) => Some(NativeOwner {
            protocol: 0,
            version: String::new(),
            warden_pid: 0,
            owner_pid: 0,
            epoch: 0.0,
            since_ms: 0.0,
            runs: 0,
            problem: Some(error.to_string()),
        }),
    })
}

/// Ends the tenants of a name in this directory, unless a host has them. Calls back once, when they
/// are gone; else as `lookAtOwner`.
#[napi]
pub fn end_owned(
    directory: String,
    name: String,
    answered: Function<NativeEnded, ()>,
) -> Result<()> {
    answer_from_thread(answered, move || {
        let ended = |outcome: &str| NativeEnded {
            outcome: outcome.to_owned(),
            pid: None,
            runs: None,
            reason: None,
        };
        match end(Path::new(&directory), &name) {
            Ok(EndedAll::Ended { runs }) => NativeEnded { runs: Some(runs), ..ended("ended") },
            Ok(EndedAll::Nobody) => ended("nobody"),
            Ok(EndedAll::InUse { pid }) => NativeEnded { pid: Some(pid), ..ended("inUse") },
            Err(error) => NativeEnded { reason: Some(error.to_string()), ..ended("failed") },
        }
    })
}

/// Does the work on a thread of its own, and calls back with what comes of it.
fn answer_from_thread<T: ToNapiValue + JsValuesTupleIntoVec + Send + 'static>(
    answered: Function<T, ()>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<()> {
    let answered: ThreadsafeFunction<T, (), T, Status, false> =
        answered.build_threadsafe_function::<T>().callee_handled::<false>().build()?;
    let answer = move || {
        answered.call(work(), ThreadsafeFunctionCallMode::NonBlocking);
    };
    let thread = std::thread::Builder::new().name("abs-look".into()).spawn(answer);
    thread.map(drop).map_err(|error| {
        Error::new(Status::GenericFailure, format!("no thread can be started: {error}"))
    })
}
