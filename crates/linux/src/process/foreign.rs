//! Processes that the user started. They are watched and signalled through a pidfd, which never
//! means another process, even when the kernel reuses the pid.

use crate::process::foreign_group::{Asking, Member};
use crate::process::pidfd::{may_signal, send_to_group, status_of_reaped};
use crate::process::proc_stat;
use crate::threads::off_thread::OffThread;
use crate::threads::watched::watch_shared;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpgid, getpgrp, kill_process_group,
    pidfd_open, pidfd_send_signal, waitid,
};
use rustix::time::Timespec;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long the reaping of a process is waited for. It takes microseconds, unless the machine is
/// busy.
const REAPED_WITHIN: Duration = Duration::from_secs(1);
const REAPING_PAUSE: Duration = Duration::from_millis(1);
/// The pause between two looks at a process whose end the kernel refuses to report.
const UNTOLD_PAUSE: Duration = Duration::from_millis(100);
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A process that the user started, held by its pidfd. Dropping it closes the pidfd and does
/// nothing to the process.
pub struct Foreign {
    pid: Pid,
    started_at_ticks: u64,
    pidfd: Arc<OwnedFd>,
    /// It leads a process group that the host is not in; the group is ended with it.
    leads_group: bool,
    /// It is a child of the host, which is therefore told its exit status.
    is_child: bool,
    /// It was asked to end, or is about to be; it is never asked twice.
    is_asked: AtomicBool,
    /// Wakes the task that waits for its end, which then asks the process and its group.
    to_be_asked: Notify,
    is_forced: AtomicBool,
    /// Wakes the task that waits for its end, which then stops asking.
    was_forced: Notify,
}

impl Foreign {
    /// Opens a process that was started between the two times `born`, in milliseconds since boot.
    /// The error says why it is not accepted.
    pub fn open(pid: u32, born: (u64, u64)) -> Result<Foreign, String> {
        let own = std::process::id();
        let number =
            i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|_| pid > 1 && pid != own);
        let pid = number.ok_or_else(|| format!("pid {pid} can be no tenant's"))?;
        let shown = pid.as_raw_nonzero();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| match error {
            Errno::SRCH => format!("there is no process {shown}"),
            Errno::NOSYS => "this kernel has no pidfds (Linux 5.3 has)".into(),
            error => format!("process {shown} cannot be watched: {error}"),
        })?;
        // The host must not be in the group: ending it would end the host.
        let leads_group = getpgid(Some(pid)).is_ok_and(|group| group == pid) && getpgrp() != pid;
        let stat = proc_stat::of(pid.as_raw_pid().cast_unsigned());
        let is_child = stat.is_some_and(|stat| stat.parent == own);
        let foreign = Foreign {
            pid,
            started_at_ticks: stat.map_or(0, |stat| stat.started_at_ticks),
            pidfd: Arc::new(pidfd),
            leads_group,
            is_child,
            is_asked: AtomicBool::new(false),
            to_be_asked: Notify::new(),
            is_forced: AtomicBool::new(false),
            was_forced: Notify::new(),
        };
        // The process still has its pid, so what was read of the pid is about this process.
        let stat = stat.filter(|_| !foreign.is_gone());
        let stat = stat.ok_or_else(|| format!("there is no process {shown} any more"))?;
        let started_ms = stat.started_since_boot_ms();
        if started_ms < born.0 {
            return Err(format!("process {shown} was there before and belongs to somebody else"));
        }
        if started_ms > born.1 {
            return Err(format!("pid {shown} has been given to another process since"));
        }
        Ok(foreign)
    }

    /// Asks the process to end and, if it leads a group, what it leaves in the group. Only the
    /// first call sends a signal. If a task waits for the end (`is_waited_for`), that task asks
    /// the group; otherwise only the leader is asked.
    pub fn ask(&self, is_waited_for: bool) -> io::Result<()> {
        if self.is_asked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let is_left_to_waiter = self.leads_group && is_waited_for;
        unless_gone(if is_left_to_waiter {
            may_signal(&self.pidfd)
        } else {
            pidfd_send_signal(&self.pidfd, Signal::TERM).map_err(io::Error::from)
        })?;
        self.is_asked.store(true, Ordering::Relaxed);
        self.to_be_asked.notify_one();
        Ok(())
    }

    /// Kills the process and, if it leads one, its group.
    pub fn force(&self) -> io::Result<()> {
        self.is_forced.store(true, Ordering::Relaxed);
        let killed = if self.leads_group {
            self.kill_group()
        } else {
            pidfd_send_signal(&self.pidfd, Signal::KILL).map_err(io::Error::from)
        };
        self.was_forced.notify_one();
        unless_gone(killed)
    }

    fn kill_group(&self) -> io::Result<()> {
        match send_to_group(&self.pidfd, Signal::KILL) {
            // Before Linux 6.9 a group can only be named by its number, which is not reused while
            // its leader lives.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                if self.is_gone() {
                    Ok(())
                } else {
                    Ok(kill_process_group(self.pid, Signal::KILL)?)
                }
            }
            sent => sent,
        }
    }

    fn is_gone(&self) -> bool {
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&NOW))
            .is_ok_and(|ready| ready > 0)
    }

    /// Waits until the process has ended and nothing is left of its group. If the process was
    /// asked to end, the rest of the group is asked too and waited for; otherwise it is killed.
    /// Returns the exit code if the process is a child of the host: the kernel tells it only to
    /// the parent.
    pub async fn wait_and_clear_group(&self, off_thread: OffThread) -> Option<i32> {
        let asking = tokio::select! {
            biased;
            () = self.wait_for_end() => None,
            () = self.to_be_asked.notified(), if self.leads_group => tokio::select! {
                biased;
                () = self.wait_for_forced_end() => None,
                asking = self.ask_group(&off_thread) => Some(asking),
            },
        };
        self.wait_for_end().await;
        // It may have ended by itself before the request to end was heard here: what it leaves is
        // asked all the same.
        let is_to_be_asked = asking.is_none()
            && self.leads_group
            && self.is_asked.load(Ordering::Relaxed)
            && !self.is_forced.load(Ordering::Relaxed);
        let asking = if is_to_be_asked { Some(self.ask_group(&off_thread).await) } else { asking };
        if asking.is_none() && self.leads_group {
            let _ = send_to_group(&self.pidfd, Signal::KILL);
        }
        // Read at once: once the process is reaped, older kernels no longer tell it.
        let exit_code = if self.is_child { self.exit_code().await } else { None };
        if let Some(asking) = asking {
            asking.end_rest(&self.is_forced).await;
        }
        exit_code
    }

    async fn ask_group(&self, off_thread: &OffThread) -> Asking {
        let leader = Member { pid: self.pid, started_at_ticks: self.started_at_ticks };
        Asking::of(leader, self.pidfd.clone(), off_thread.clone()).await
    }

    /// Waits until the process was killed from here and has ended.
    async fn wait_for_forced_end(&self) {
        self.was_forced.notified().await;
        self.wait_for_end().await;
    }

    /// Waits for the end of the process. A kernel that is short of memory may refuse to watch it;
    /// then the process is looked at again and again.
    async fn wait_for_end(&self) {
        if let Ok(watched) = watch_shared(self.pidfd.clone()) {
            let _ = watched.readable().await;
        }
        while !self.is_gone() {
            tokio::time::sleep(UNTOLD_PAUSE).await;
        }
    }

    /// The exit code of a child. The host's runtime reaps its children and may have done so
    /// already; Linux 6.15 and later tell the status all the same.
    async fn exit_code(&self) -> Option<i32> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        if let Ok(Some(status)) = waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            return status.exit_status();
        }
        let status = settled(|| status_of_reaped(&self.pidfd));
        let status = tokio::time::timeout(REAPED_WITHIN, status).await.ok().flatten()?;
        libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
    }
}

/// Takes "no such process" for success: the process has ended, which is what the signal was for.
fn unless_gone(sent: io::Result<()>) -> io::Result<()> {
    sent.or_else(
        |error| if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) },
    )
}

/// Repeats `ask` while the process is being reaped. During that time the kernel reports no status,
/// and may once report that there is no such process, before it reports the status, if ever.
async fn settled(
    mut ask: impl FnMut() -> Result<Option<libc::c_int>, Errno>,
) -> Option<libc::c_int> {
    let mut is_known_to_be_gone = false;
    loop {
        match ask() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => tokio::time::sleep(REAPING_PAUSE).await,
            Err(Errno::SRCH) if !is_known_to_be_gone => is_known_to_be_gone = true,
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "the processes that are watched must come from somewhere"
)]
mod tests;
