//! What the runtime does with the operating system. No part decides anything: each does one thing
//! and reports the fact. Linux only; knows nothing of the pool.
//!
//! | module | is |
//! |---|---|
//! | [`engine`] | the thread that everything here runs on, shared by all runtimes of the host |
//! | [`warden_link`] | the socket to the warden, and what is started over it |
//! | [`confine`] | what a tenant can be held within: limits, control groups, walls |
//! | [`host`] | what the machine offers, and what of it this process may use |
//! | [`process`] | processes: what they use, and how one that the user started is watched and ended |
//! | [`net`] | ports and sockets: reservations, listeners and their owners, connections, readiness |
//! | [`output`] | pipes, cut into lines |
//! | [`threads`] | clocks, pauses, and work off the engine's thread |
#![deny(unsafe_code)]
#![allow(
    missing_docs,
    reason = "the driver is its one user; what is not plain from its name is documented"
)]

pub mod confine;
pub mod engine;
pub mod host;
pub mod net;
pub mod output;
pub mod process;
#[cfg(test)]
mod reader_costs;
pub mod threads;
pub mod warden_link;
