//! Descriptors that tokio watches.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// A descriptor that is watched until it is dropped. It must not block.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays the same open descriptor for as long as it lives, nothing here swaps it for another,
    // and the `AsyncFd` owns it.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// The same for one that others use, too.
pub fn watch_shared(descriptor: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: as above; it stays open for as long as the `AsyncFd` shares it.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}
