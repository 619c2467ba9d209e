//! Gateways of several hosts, which pass requests on to one another.
#![allow(missing_docs, reason = "tests")]

mod hosts;
#[path = "../server/support.rs"]
#[allow(dead_code, reason = "other tests use it")]
mod support;

mod bodies;
mod encryption;
mod entry;
mod fence;
mod loss;
mod misdirected;
mod passed_on;
mod smuggling;
mod tunnels;
