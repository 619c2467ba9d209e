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
mod tests {
    use super::*;
    use crate::threads::clock;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    const ANY_TIME: (u64, u64) = (0, u64::MAX);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn wait_for_end(foreign: &Foreign) -> Option<i32> {
        block_on(foreign.wait_and_clear_group(OffThread::default()))
    }

    #[test]
    fn the_end_of_a_child_is_seen_with_its_exit_code() {
        let mut child = Command::new("sh")
            .args(["-c", "read _; exit 7"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let foreign = Foreign::open(child.id(), ANY_TIME).unwrap();
        drop(child.stdin.take());
        assert_eq!(wait_for_end(&foreign), Some(7));
        child.wait().unwrap();
        assert!(Foreign::open(child.id(), ANY_TIME).is_err());
    }

    /// Whether the kernel tells the status of a reaped process, as Linux 6.15 does.
    fn kernel_tells_of_the_reaped() -> bool {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        child.wait().unwrap();
        status_of_reaped(&pidfd).is_ok()
    }

    #[test]
    fn the_exit_code_is_known_whenever_the_host_reaps_the_child() {
        let rounds = if kernel_tells_of_the_reaped() { 200 } else { 0 };
        for round in 0..rounds {
            let code = round % 5;
            let script = format!("read _; exit {code}");
            let mut child =
                Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
            let foreign = Foreign::open(child.id(), ANY_TIME).unwrap();
            let input = child.stdin.take();
            let reaper = std::thread::spawn(move || child.wait().unwrap());
            drop(input);
            assert_eq!(wait_for_end(&foreign), Some(code), "round {round}");
            reaper.join().unwrap();
        }
    }

    #[test]
    fn a_child_that_is_being_reaped_is_asked_for_again() {
        let settle = |answers: &[Result<Option<i32>, Errno>]| {
            let mut answers = answers.iter();
            block_on(settled(|| *answers.next().unwrap()))
        };
        assert_eq!(settle(&[Ok(Some(7))]), Some(7));
        assert_eq!(settle(&[Ok(None), Ok(None), Ok(Some(7))]), Some(7));
        assert_eq!(settle(&[Err(Errno::SRCH), Ok(Some(7))]), Some(7));
        assert_eq!(settle(&[Ok(None), Err(Errno::SRCH), Err(Errno::SRCH)]), None);
        assert_eq!(settle(&[Err(Errno::NOTTY)]), None);
    }

    #[test]
    fn a_group_is_ended_with_its_leader_and_no_other_process_is() {
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let script = "sleep 60 & echo started; wait";
        let mut leader = Command::new("sh");
        let leader = leader.args(["-c", script]).process_group(0).stdout(Stdio::piped());
        let mut leader = leader.spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(leader.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        let foreign = Foreign::open(leader.id(), ANY_TIME).unwrap();
        foreign.ask(true).unwrap();
        assert_eq!(wait_for_end(&foreign), None);
        leader.wait().unwrap();
        let group = Pid::from_raw(leader.id() as i32).unwrap();
        while rustix::process::test_kill_process_group(group).is_ok() {
            std::thread::yield_now();
        }
        assert!(other.try_wait().unwrap().is_none());
        foreign.force().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_process_that_was_asked_is_not_asked_again() {
        let script =
            "trap 'echo asked' TERM; trap 'exit 3' WINCH; echo up; while :; do sleep 0.01; done";
        for is_waited_for in [false, true] {
            let mut child = Command::new("sh");
            let mut child =
                child.args(["-c", script]).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
            let mut line = || {
                let mut line = String::new();
                std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
                line
            };
            assert_eq!(line(), "up\n");
            let foreign = Arc::new(Foreign::open(child.id(), ANY_TIME).unwrap());
            let waiter = is_waited_for.then(|| {
                let foreign = foreign.clone();
                std::thread::spawn(move || wait_for_end(&foreign))
            });
            foreign.ask(is_waited_for).unwrap();
            assert_eq!(line(), "asked\n");
            foreign.ask(is_waited_for).unwrap();
            // SIGWINCH has the higher number, so it is delivered after a SIGTERM that was sent
            // before it.
            rustix::process::kill_process(Pid::from_child(&child), Signal::WINCH).unwrap();
            assert_eq!(line(), "");
            child.wait().unwrap();
            waiter.map(|waiter| waiter.join().unwrap());
        }
    }

    #[test]
    fn what_a_leader_leaves_is_asked_also_if_the_leader_ended_before_it_was() {
        let member = "trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.01; done";
        let mut leader = Command::new("sh");
        leader.args(["-c", &format!("sh -c \"{member}\" & wait")]).process_group(0);
        let mut leader = leader.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = std::io::BufReader::new(leader.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut said, &mut line).unwrap();
            line
        };
        assert_eq!(line(), "up\n");
        let foreign = Foreign::open(leader.id(), ANY_TIME).unwrap();
        // As `ask` does, before the waiting task has heard of it.
        foreign.is_asked.store(true, Ordering::Relaxed);
        leader.kill().unwrap();
        leader.wait().unwrap();
        wait_for_end(&foreign);
        assert_eq!(line(), "asked\n");
    }

    #[test]
    fn processes_that_cannot_be_tenants_are_not_taken() {
        for pid in [0, 1, std::process::id(), u32::MAX, i32::MAX as u32] {
            assert!(Foreign::open(pid, ANY_TIME).is_err(), "pid {pid}");
        }
    }

    #[test]
    fn a_process_of_another_time_is_not_taken() {
        let before_ms = clock::since_boot_ms();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let after_ms = clock::since_boot_ms() + 1;
        assert!(Foreign::open(child.id(), (before_ms.saturating_sub(10), after_ms)).is_ok());
        assert!(Foreign::open(child.id(), (after_ms + 100, u64::MAX)).is_err());
        assert!(Foreign::open(child.id(), (0, before_ms.saturating_sub(100))).is_err());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
