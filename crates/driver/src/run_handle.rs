//! What the driver holds for a run, beside what the pool knows of it.

use crate::confinement::Confined;
use crate::directory::Tenant;
use crate::survival::Surviving;
use crate::tenant_settings::TenantSettings;
use linux::output::lines::Tail;
use linux::process::accounting::Root;
use pool::{Custody, Key, Owner};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The driver's part of a run, from its start to its release.
///
/// Dropping it frees the port that it holds. It does not stop the process, nor abort the probe:
/// see [`stop_probing`](Self::stop_probing).
pub(crate) struct RunHandle<P> {
    pub key: Key,
    /// Whether the warden or the user owns the process, and whether it may refuse to be stopped.
    pub custody: Custody,
    /// 0 until it is prepared.
    pub port: u16,
    /// The port that is assigned to it in the port book.
    pub assigned_port: Option<u16>,
    pub held_port: Option<P>,
    /// It may continue from the key's image, or takes its place.
    pub may_take_kept_port: bool,
    /// The last lines of output. `None` for a user's process: JavaScript keeps them, and passes them
    /// down with the exit.
    pub tail: Option<Arc<Mutex<Tail>>>,
    /// The user's `spawn` is being called, or the warden has been asked to spawn.
    pub launched: bool,
    /// Notified of a forced stop. `None` until the warden is asked to spawn.
    pub forced: Option<Arc<Notify>>,
    /// The warden's number for the process, once it exists.
    pub number: Option<u64>,
    /// The root of its process tree, once it exists.
    pub root: Option<Root>,
    /// When its port was assigned, in milliseconds since the machine was started.
    pub prepared_since_boot_ms: u64,
    /// The user's process stands for a server on another machine or in a container, which has the
    /// port.
    pub is_remote: bool,
    /// It has been ready.
    pub was_ready: bool,
    /// It answers at `::1`, and not at 127.0.0.1.
    pub at_ipv6: bool,
    /// Its entry in the directory, from ready on.
    pub tenant: Option<Arc<Tenant>>,
    /// What JavaScript has said of this start; `None`: all is as for the other tenants.
    pub settings: Option<Arc<TenantSettings>>,
    /// What its tenant is held within; `None`: nothing. Boxed, as most runs have none.
    pub confined: Option<Box<Confined>>,
    /// The task that asks whether it is ready.
    pub probe: Option<AbortHandle>,
    /// `None`: it does not outlive its host.
    pub surviving: Option<Surviving>,
}

impl<P> RunHandle<P> {
    /// The handle of a run that is about to be started.
    pub(crate) fn new(key: Key, custody: Custody) -> RunHandle<P> {
        RunHandle {
            key,
            custody,
            port: 0,
            assigned_port: None,
            held_port: None,
            may_take_kept_port: false,
            tail: (custody.owner == Owner::Us).then(Arc::default),
            launched: false,
            forced: None,
            number: None,
            root: None,
            prepared_since_boot_ms: 0,
            is_remote: false,
            was_ready: false,
            at_ipv6: false,
            tenant: None,
            settings: None,
            confined: None,
            probe: None,
            surviving: None,
        }
    }

    /// Aborts the probe, if there is one.
    pub(crate) fn stop_probing(&mut self) {
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
    }

    /// The last lines of output.
    pub(crate) fn output(&self) -> String {
        self.tail.as_ref().map(|tail| lock_tail(tail).text()).unwrap_or_default()
    }
}

fn lock_tail(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}
