//! Pauses shorter than a millisecond, the resolution of tokio's own timers.

use crate::threads::watched::watch;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel (`timerfd`), used again and again. Dropping it closes the timer.
pub struct Pause {
    timer: AsyncFd<OwnedFd>,
}

impl Pause {
    /// Makes the timer, on the engine's runtime. Errors: no descriptor is left.
    pub fn new() -> io::Result<Pause> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Pause { timer: watch(timerfd_create(TimerfdClockId::Monotonic, flags)?)? })
    }

    /// Waits this long, and not much longer. Zero means the shortest possible time.
    pub async fn wait(&mut self, duration: Duration) -> io::Result<()> {
        let nanoseconds = duration.subsec_nanos().max(u32::from(duration.as_secs() == 0));
        let value = Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: nanoseconds.into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        // Setting the timer made it unreadable, so readiness now means that this time is over.
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
#[allow(clippy::disallowed_methods, reason = "a pause is measured")]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn a_pause_is_as_long_as_it_should_be_each_time() {
        let mut pause = Pause::new().unwrap();
        for wanted in [Duration::from_micros(300), Duration::ZERO, Duration::from_millis(3)] {
            let before = Instant::now();
            pause.wait(wanted).await.unwrap();
            assert!(before.elapsed() >= wanted, "{:?} of {wanted:?}", before.elapsed());
        }
    }
}
