//! Clocks and pauses, and work off the engine's thread.

pub mod alarm;
pub mod clock;
pub mod off_thread;
pub(crate) mod pause;
mod timer;
#[allow(unsafe_code, reason = "tokio must be promised that a descriptor stays what it is")]
pub(crate) mod watched;
