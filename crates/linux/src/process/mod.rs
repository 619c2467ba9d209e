//! Processes, as `/proc` and pidfds show them.

pub mod accounting;
pub mod bun;
#[allow(unsafe_code, reason = "the CPU clock of another process has no safe wrapper")]
pub mod cpu_clock;
pub mod foreign;
pub(crate) mod orphans;
#[allow(unsafe_code, reason = "a pidfd can do more than there are safe wrappers for")]
pub(crate) mod pidfd;
pub(crate) mod proc_check;
pub(crate) mod proc_stat;
pub mod root_claim;
