//! The addon: the boundary between Rust and JavaScript, which converts values and does nothing
//! else. Only `lib/` uses it; the package does not export it.
//!
//! ```text
//! this  →  driver  →  pool   (decides)
//!                  →  linux  (does, and reports facts)
//! ```
//! Dependencies go this way only. Questions that concern no runtime (the usage of a process tree,
//! the path of the warden, the time) go to `linux` directly.
#![deny(unsafe_code)]
#![allow(
    missing_docs,
    reason = "an addon has no Rust API; modules and what is not plain from its name are documented"
)]
#![cfg_attr(
    test,
    allow(
        dead_code,
        reason = "a test program exports nothing, so what only JavaScript calls is unused"
    )
)]

mod confinement;
mod environment;
mod fleet;
mod functions;
mod gateway;
mod host;
mod installation;
#[allow(unsafe_code, reason = "memory is shared with JavaScript")]
mod memory;
mod onlooker;
#[allow(unsafe_code, reason = "the conversion from a JavaScript value is an unsafe trait method")]
mod options;
#[allow(unsafe_code, reason = "the conversion to a JavaScript value is an unsafe trait method")]
mod records;
mod runtime;
mod service_manager;
mod surviving;
mod tenant_settings;
mod tree;

use napi::{Error, Result, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does the work. A panic in it does not cross into JavaScript: it becomes an error.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text =
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown cause");
        Error::new(Status::GenericFailure, format!("internal error in @absolutejs/runtime: {text}"))
    })
}
