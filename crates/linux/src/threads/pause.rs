//! Pauses shorter than a millisecond, the resolution of tokio's own timers.

use crate::threads::timer::Timer;
use rustix::time::TimerfdClockId;
use std::io;
use std::time::Duration;

/// A timer of the kernel's, used again and again. Dropping it closes its descriptor.
pub struct Pause(Timer);

impl Pause {
    /// Makes the timer, on the engine's runtime. Errors: no descriptor is left.
    pub fn new() -> io::Result<Pause> {
        Ok(Pause(Timer::new(TimerfdClockId::Monotonic)?))
    }

    /// Waits until [`clock::monotonic`] shows this time, and not much longer. Pauses that end at the
    /// same time wake the thread once.
    ///
    /// [`clock::monotonic`]: crate::threads::clock::monotonic
    pub async fn until(&mut self, at: Duration) -> io::Result<()> {
        self.0.ring(at).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::clock;

    #[tokio::test]
    async fn a_pause_lasts_until_its_time_each_time() {
        let mut pause = Pause::new().unwrap();
        for wanted in [Duration::from_micros(300), Duration::ZERO, Duration::from_millis(3)] {
            let at = clock::monotonic() + wanted;
            pause.until(at).await.unwrap();
            assert!(clock::monotonic() >= at, "{wanted:?}");
        }
    }
}
