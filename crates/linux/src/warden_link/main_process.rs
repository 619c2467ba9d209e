//! A tenant's main process, held by a pidfd: that it has ended is known without anybody's help.

use crate::threads::watched::watch;
use crate::warden_link::client::Started;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;
use warden::Stat;

/// See the module.
pub struct MainProcess(AsyncFd<OwnedFd>);

impl MainProcess {
    /// `None` if it has ended already, which its keeper is about to tell, or if there is no descriptor to be had.
    pub fn of(started: Started) -> Option<MainProcess> {
        let pid = Pid::from_raw(started.pid.cast_signed())?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Looked up after the pidfd was opened: a child of the keeper is no stranger that has got the number since.
        let is_its_child = Stat::of(started.pid).is_some_and(|stat| stat.parent == started.keeper_pid);
        if is_its_child { watch(pidfd).ok().map(MainProcess) } else { None }
    }

    /// Waits for its end.
    pub async fn end(&self) {
        if self.0.readable().await.is_err() {
            // The runtime is going away, and this with it.
            std::future::pending().await
        }
    }
}
