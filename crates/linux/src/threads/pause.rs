//! Pauses shorter than a millisecond, the resolution of tokio's own timers.

use crate::threads::timer::Timer;
use rustix::time::{TimerfdClockId, TimerfdTimerFlags};
use std::io;
use std::time::Duration;

/// A timer of the kernel's, used again and again. Dropping it closes its descriptor.
pub struct Pause(Timer);

impl Pause {
    /// Makes the timer, on the engine's runtime. Errors: no descriptor is left.
    pub fn new() -> io::Result<Pause> {
        Ok(Pause(Timer::new(TimerfdClockId::Monotonic)?))
    }

    /// Waits this long, and not much longer. Zero means the shortest possible time.
    pub async fn wait(&mut self, duration: Duration) -> io::Result<()> {
        self.0.ring(duration, TimerfdTimerFlags::empty()).await
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
