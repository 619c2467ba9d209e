//! HTTP in front of tenants: routes, wakes, waits, forwards, and loses no request.

#![forbid(unsafe_code)]

mod answer;
mod clock;
pub mod forward;
pub mod forwarded;
pub mod guarded;
pub mod headers;
pub mod hooks;
pub mod listeners;
pub mod record;
pub mod refusal;
pub mod route;
pub mod settings;
pub mod stats;
pub mod strict;
pub mod tenants;
pub mod tls;

pub use hooks::Hooks;
pub use settings::Settings;
pub use tenants::{InUse, Tenants};
