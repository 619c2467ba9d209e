//! A timer of the kernel (`timerfd`), as a tokio runtime waits for it.

use crate::threads::watched::watch;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Set again and again. Dropping it closes its descriptor.
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Makes the timer, on the current tokio runtime. Errors: no descriptor is left.
    pub(super) fn new(clock: TimerfdClockId) -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Timer(watch(timerfd_create(clock, flags)?)?))
    }

    /// Sets the timer to a time of its clock, and waits for it.
    pub(super) async fn ring(&mut self, time: Duration) -> io::Result<()> {
        // Zero would switch the timer off.
        let time = time.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        // Setting the timer made it unreadable, so readiness now means that this time has come.
        loop {
            let mut ready = self.0.readable().await?;
            let mut expirations = [0; size_of::<u64>()];
            match rustix::io::read(self.0.get_ref(), &mut expirations) {
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                result => return Ok(result.map(|_| ready.clear_ready())?),
            }
        }
    }
}
