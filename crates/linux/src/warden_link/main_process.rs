//! A tenant's main process, watched through a pidfd: its end is seen without a report of its
//! keeper.

use crate::threads::watched::watch;
use crate::warden_link::client::Started;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;
use warden::Stat;

/// The watched process. Dropping it ends the watch and does nothing to the process.
pub struct MainProcess(AsyncFd<OwnedFd>);

impl MainProcess {
    /// `None` if the process has ended already, which its keeper reports, or if no descriptor is
    /// left.
    pub fn of(started: Started) -> Option<MainProcess> {
        let pid = Pid::from_raw(started.pid.cast_signed())?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Read after the pidfd was opened: as the process is the keeper's child, its pid was not
        // reused.
        let is_its_child =
            Stat::of(started.pid).is_some_and(|stat| stat.parent == started.keeper_pid);
        if is_its_child { watch(pidfd).ok().map(MainProcess) } else { None }
    }

    /// Waits for the end of the process.
    pub async fn end(&self) {
        if self.0.readable().await.is_err() {
            // The runtime is shutting down, and drops this future.
            std::future::pending().await
        }
    }
}
