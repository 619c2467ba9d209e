//! What is held for a run, beside what the pool knows of it.

use crate::directory::Tenant;
use linux::output::lines::Tail;
use linux::process::accounting::Root;
use pool::{Custody, Key, Owner};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// What is held for a run from its start to its release.
pub(crate) struct RunHandle<P> {
    pub key: Key,
    /// Whose process it is, and whether it may refuse to be stopped.
    pub custody: Custody,
    /// 0 until it is prepared.
    pub port: u16,
    /// The one it was told, if it has not said that it uses another.
    pub told_port: Option<u16>,
    pub held_port: Option<P>,
    /// It may continue from the key's image, or takes its place.
    pub may_take_kept_port: bool,
    /// Of a process of ours.
    pub tail: Option<Arc<Mutex<Tail>>>,
    pub launched: bool,
    /// Told of a forced stop of a process of ours.
    pub forced: Option<Arc<Notify>>,
    /// How the warden knows it.
    pub number: Option<u64>,
    pub root: Option<Root>,
    /// When it was prepared, in milliseconds since the machine was started.
    pub prepared_since_boot_ms: u64,
    /// The user's process stands for something elsewhere, which has the port.
    pub is_elsewhere: bool,
    pub was_ready: bool,
    /// It answers at `::1`, and not at 127.0.0.1.
    pub at_ipv6: bool,
    /// As it stands in the directory, from ready on.
    pub tenant: Option<Arc<Tenant>>,
    pub probe: Option<AbortHandle>,
}

impl<P> RunHandle<P> {
    /// Nothing has been done for it yet.
    pub(crate) fn new(key: Key, custody: Custody) -> RunHandle<P> {
        RunHandle {
            key,
            custody,
            port: 0,
            told_port: None,
            held_port: None,
            may_take_kept_port: false,
            tail: (custody.owner == Owner::Us).then(Arc::default),
            launched: false,
            forced: None,
            number: None,
            root: None,
            prepared_since_boot_ms: 0,
            is_elsewhere: false,
            was_ready: false,
            at_ipv6: false,
            tenant: None,
            probe: None,
        }
    }

    pub(crate) fn stop_probing(&mut self) {
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
    }

    pub(crate) fn output(&self) -> String {
        self.tail.as_ref().map(|tail| lock_tail(tail).text()).unwrap_or_default()
    }
}

fn lock_tail(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}
