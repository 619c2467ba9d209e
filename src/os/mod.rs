//! What the addon does with the operating system. Nothing here decides: each part does one thing and reports the
//! fact. Linux only.

pub mod accounting;
mod beginning;
mod children;
pub mod clock;
pub mod connections;
#[allow(unsafe_code, reason = "the CPU clock of another process has no safe wrapper")]
pub mod cpu_clock;
pub mod engine;
pub mod foreign;
pub mod host;
pub mod listeners;
pub mod listening;
pub mod logs;
mod main_process;
pub mod off_thread;
mod orphans;
pub mod ownership;
mod pause;
#[allow(unsafe_code, reason = "a pidfd can do more than there are safe wrappers for")]
mod pidfd;
pub mod ports;
mod proc_check;
mod proc_net;
mod proc_stat;
#[cfg(test)]
mod reader_costs;
pub mod readiness;
mod request;
pub mod root_claim;
pub mod run;
mod sock_diag;
pub mod surroundings;
pub mod warden;
pub mod warden_program;
#[allow(unsafe_code, reason = "tokio must be promised that a descriptor stays what it is")]
mod watched;
