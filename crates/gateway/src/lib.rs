//! HTTP in front of tenants: routes, wakes, waits, forwards, and loses no request.

#![forbid(unsafe_code)]

mod admission;
mod alarm;
mod answer;
mod beside;
mod clock;
mod connection;
mod count;
mod exchange;
pub mod forward;
pub mod forwarded;
pub mod guarded;
pub mod headers;
pub mod hooks;
pub mod listeners;
pub mod peer;
pub mod record;
pub mod refusal;
pub mod route;
mod routing;
pub mod server;
pub mod settings;
pub mod stats;
mod stream;
mod streams;
pub mod strict;
pub mod tenants;
pub mod tls;
mod trace;
mod wake;
#[cfg(test)]
mod wakes;

pub use hooks::{Hooks, NoHooks};
pub use server::Gateway;
pub use settings::Settings;
pub use tenants::{InUse, Tenants};
