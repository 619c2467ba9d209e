//! What the addon does with the operating system. Nothing here decides: each part does one thing and reports the
//! fact. Linux only.

pub mod accounting;
pub mod clock;
pub mod connections;
pub mod cpu_clock;
pub mod engine;
pub mod foreign;
pub mod listeners;
pub mod listening;
pub mod logs;
mod orphans;
mod pause;
pub mod ports;
mod proc_net;
pub mod readiness;
pub mod run;
mod sock_diag;
mod stat;
pub mod warden;
pub mod warden_program;
mod watched;
