//! A timer on the clock that goes on while the machine is suspended, which tokio's do not.

use crate::threads::watched::watch;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel (`timerfd`) on `CLOCK_BOOTTIME`, used again and again. Dropping it closes
/// the timer.
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// Makes the timer, on the current tokio runtime. Errors: no descriptor is left.
    pub fn new() -> io::Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Alarm { timer: watch(timerfd_create(TimerfdClockId::Boottime, flags)?)? })
    }

    /// Waits until [`since_boot_ms`](super::clock::since_boot_ms) shows this time: at once if it
    /// does already.
    pub async fn wait_until(&mut self, at_ms: u64) -> io::Result<()> {
        // Zero would switch the timer off.
        let at_ms = at_ms.max(1);
        let value = Timespec {
            tv_sec: (at_ms / 1_000) as i64,
            tv_nsec: (at_ms % 1_000 * 1_000_000) as i64,
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        // Setting the timer made it unreadable, so readiness now means that this time has come.
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; size_of::<u64>()];
            match rustix::io::read(self.timer.get_ref(), &mut expirations) {
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                result => return Ok(result.map(|_| ready.clear_ready())?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::clock::since_boot_ms;

    #[tokio::test]
    async fn an_alarm_rings_when_its_time_has_come_each_time() {
        let mut alarm = Alarm::new().expect("a descriptor");
        for later_ms in [20, 0, 3] {
            let at_ms = since_boot_ms() + later_ms;
            alarm.wait_until(at_ms).await.expect("a timer");
            assert!(since_boot_ms() >= at_ms);
        }
        alarm.wait_until(0).await.expect("a time that has passed long ago");
    }

    #[tokio::test]
    async fn an_alarm_that_was_given_up_does_not_ring_for_the_next_one() {
        let mut alarm = Alarm::new().expect("a descriptor");
        let soon = alarm.wait_until(since_boot_ms() + 5);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, soon).await.is_err());
        let at_ms = since_boot_ms() + 40;
        alarm.wait_until(at_ms).await.expect("a timer");
        assert!(since_boot_ms() >= at_ms);
    }
}
