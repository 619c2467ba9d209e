//! The boundary: converts, and nothing else. Its one user is `lib/`, which keeps it from everybody else.

mod environment;
mod host;
mod installation;
#[allow(unsafe_code, reason = "memory is shared with JavaScript")]
mod memory;
#[allow(unsafe_code, reason = "the conversion from a JavaScript value is an unsafe trait method")]
mod options;
#[allow(unsafe_code, reason = "the conversion to a JavaScript value is an unsafe trait method")]
mod records;
mod runtime;
mod tree;

use napi::{Error, Result, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// No panic crosses into JavaScript: it becomes an exception.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown cause");
        Error::new(Status::GenericFailure, format!("internal error in @absolutejs/runtime: {text}"))
    })
}
