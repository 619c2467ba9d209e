//! A timer on the clock that goes on while the machine is suspended, which tokio's do not.

use crate::threads::timer::Timer;
use rustix::time::TimerfdClockId;
use std::io;
use std::time::Duration;

/// A timer on `CLOCK_BOOTTIME`, used again and again. Dropping it closes its descriptor.
pub struct Alarm(Timer);

impl Alarm {
    /// Makes the timer, on the current tokio runtime. Errors: no descriptor is left.
    pub fn new() -> io::Result<Alarm> {
        Ok(Alarm(Timer::new(TimerfdClockId::Boottime)?))
    }

    /// Waits until [`since_boot_ms`](super::clock::since_boot_ms) shows this time: at once if it
    /// does already.
    pub async fn wait_until(&mut self, at_ms: u64) -> io::Result<()> {
        self.0.ring(Duration::from_millis(at_ms)).await
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
