//! What a gateway tells JavaScript, and asks it: one function for all of it.

use napi::Status;
use napi::bindgen_prelude::{Function, Result};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

/// Calls JavaScript, in a later turn of its thread. Weak, so that it does not keep the process
/// alive. What waits in its queue is bounded by what a gateway lets wait: see `wake.queue` and
/// `limits.connections`.
pub struct Notices(ThreadsafeFunction<NativeNotice, (), NativeNotice, Status, false, true, 0>);

impl Notices {
    pub fn new(noticed: Function<NativeNotice, ()>) -> Result<Notices> {
        let call = noticed
            .build_threadsafe_function::<NativeNotice>()
            .weak::<true>()
            .callee_handled::<false>()
            .build()?;
        Ok(Notices(call))
    }

    pub fn tell(&self, notice: NativeNotice) {
        // An error says that the environment is closing.
        let _ = self.0.call(notice, ThreadsafeFunctionCallMode::NonBlocking);
    }
}

/// A notice; `kind` says which fields it has. `lib/gateway/gateway.js` has what is done about it.
#[derive(Default)]
#[napi(object, object_from_js = false)]
pub struct NativeNotice {
    pub kind: String,
    /// Of a question: for the answer.
    pub ticket: Option<f64>,
    /// Of a woken request.
    pub id: Option<f64>,
    pub key: Option<String>,
    pub host: Option<String>,
    pub method: Option<String>,
    pub path: Option<String>,
    pub address: Option<String>,
    pub status: Option<u32>,
    pub code: Option<String>,
    pub retry_after_ms: Option<f64>,
    pub server_name: Option<String>,
    pub traceparent: Option<String>,
    pub woke_ms: Option<f64>,
    pub addresses: Option<Vec<NativeAddress>>,
    pub problem: Option<String>,
}

impl NativeNotice {
    pub fn of(kind: &str) -> NativeNotice {
        NativeNotice { kind: kind.to_owned(), ..NativeNotice::default() }
    }
}

/// Where a gateway listens.
#[napi(object, object_from_js = false)]
pub struct NativeAddress {
    pub url: String,
    pub hostname: Option<String>,
    pub port: Option<u32>,
    pub path: Option<String>,
}
