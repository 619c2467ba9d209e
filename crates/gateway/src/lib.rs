//! HTTP in front of tenants: routes, wakes, waits, forwards, and loses no request.

#![forbid(unsafe_code)]

pub mod forwarded;
pub mod refusal;
pub mod route;
pub mod strict;
