//! A whole gateway, with clients and tenants on real sockets.
#![allow(missing_docs, reason = "tests")]

mod support;
mod tls;

mod access;
mod ambiguous;
mod certificates;
mod closing;
mod http2;
mod limits;
mod routing;
mod sockets;
mod waking;
