//! Processes, as `/proc` and pidfds show them.

pub mod accounting;
pub mod bun;
pub(crate) mod children;
#[allow(unsafe_code, reason = "the CPU clock of another process has no safe wrapper")]
pub mod cpu_clock;
#[allow(unsafe_code, reason = "kcmp has no safe wrapper")]
pub(crate) mod descriptor_table;
pub(crate) mod dying;
pub mod foreign;
mod foreign_group;
pub mod group_usage;
pub(crate) mod orphans;
#[allow(unsafe_code, reason = "a pidfd can do more than there are safe wrappers for")]
pub(crate) mod pidfd;
pub(crate) mod proc_stat;
pub mod root_claim;
