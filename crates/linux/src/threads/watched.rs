//! Descriptors that tokio watches.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor until the result is dropped. The descriptor must be non-blocking.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays the same open descriptor for as long as it lives, nothing here
    // swaps it for another, and the `AsyncFd` owns it.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// Like [`watch`], for a descriptor that others use too.
pub fn watch_shared(descriptor: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the `OwnedFd` stays the same open descriptor, and the `AsyncFd` shares it for as
    // long as it watches.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}
