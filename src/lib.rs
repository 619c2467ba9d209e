//! The native half of `@absolutejs/runtime`.
//!
//! ```text
//! binding  →  driver  →  pool (decides)
//!                     →  os   (does, and reports facts)
//! ```
//! Dependencies go this way only; where no runtime is concerned (what a process tree uses, where the warden is, what time it
//! is) the binding asks `os` itself, and it converts the plain data of all of them. `uplink` is the one way up to JavaScript, `leases` the memory shared with it.
#![deny(unsafe_code)]
#![allow(
    missing_docs,
    reason = "an addon has no Rust API; modules and what is not plain from its name are documented"
)]
#![cfg_attr(
    test,
    allow(dead_code, reason = "a test program exports nothing, so what only JavaScript calls is unused")
)]

mod binding;
mod board;
mod driver;
mod leases;
mod os;
mod supervision;
mod uplink;
