//! Ports and sockets.

mod accepting;
pub mod activity;
mod answer_kind;
pub mod connections;
pub mod listeners;
pub mod listening;
pub mod ownership;
pub mod ports;
mod proc_net;
pub mod readiness;
mod request;
pub mod sock_diag;
