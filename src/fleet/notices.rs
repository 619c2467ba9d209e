//! What a member tells JavaScript: one function for all of it.

use napi::Status;
use napi::bindgen_prelude::{Function, Result};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

/// Calls JavaScript, in a later turn of its thread. Weak, so that it does not keep the process alive.
pub struct Notices(
    ThreadsafeFunction<NativeFleetNotice, (), NativeFleetNotice, Status, false, true, 0>,
);

impl Notices {
    pub fn new(noticed: Function<NativeFleetNotice, ()>) -> Result<Notices> {
        let call = noticed
            .build_threadsafe_function::<NativeFleetNotice>()
            .weak::<true>()
            .callee_handled::<false>()
            .build()?;
        Ok(Notices(call))
    }

    pub fn tell(&self, notice: NativeFleetNotice) {
        // An error says that the environment is closing.
        let _ = self.0.call(notice, ThreadsafeFunctionCallMode::NonBlocking);
    }
}

/// A notice; `kind` says which fields it has. `lib/fleet/fleet.js` has what is done about it.
#[derive(Default)]
#[napi(object, object_from_js = false)]
pub struct NativeFleetNotice {
    pub kind: String,
    /// Of an `ensure`, or of a question: which.
    pub ticket: Option<f64>,
    pub key: Option<String>,
    pub place: Option<NativePlace>,
    /// Why it has no place, in a word of `lib/errors.js`.
    pub why: Option<String>,
    pub retry_after_ms: Option<f64>,
    pub event: Option<NativeFleetEvent>,
    /// What another host asks.
    pub question: Option<String>,
    /// Which host that is.
    pub host: Option<String>,
    /// What another host has answered.
    pub text: Option<String>,
    pub problem: Option<String>,
    pub code: Option<String>,
}

impl NativeFleetNotice {
    pub fn of(kind: &str) -> NativeFleetNotice {
        NativeFleetNotice { kind: kind.to_owned(), ..NativeFleetNotice::default() }
    }
}

/// Where a key is served.
#[napi(object, object_from_js = false)]
pub struct NativePlace {
    pub is_here: bool,
    pub host: String,
    pub address: String,
    pub epoch: String,
}

/// What users are told. `kind` says which fields it has: see `FleetEvent` in fleet.d.ts.
#[derive(Default)]
#[napi(object, object_from_js = false)]
pub struct NativeFleetEvent {
    pub kind: String,
    pub key: Option<String>,
    pub epoch: Option<String>,
    pub to: Option<String>,
    pub host: Option<String>,
    pub address: Option<String>,
    pub keys: Option<f64>,
    pub at: f64,
}
