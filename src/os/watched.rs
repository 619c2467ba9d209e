//! Descriptors that tokio watches.

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// A descriptor that is watched until it is dropped. It must not block.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays the same open descriptor for as long as it lives, nothing here swaps it for another,
    // and the `AsyncFd` owns it.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}
