//! Default readiness: wait until the port listens, then until it answers one HTTP request, whatever the answer.

use crate::os::clock;
use crate::os::listening::Listening;
use crate::os::pause::Pause;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// In all, from the spawn.
const TIMEOUT_MS: u64 = 30_000;
/// One HTTP request.
const TRY_TIMEOUT_MS: u64 = 2_000;
/// Between two looks at a port, and between two requests. A look costs 2–3 µs and the waking for it some more, so a start
/// of 12 ms is noticed within half a millisecond; one that takes longer is looked at in proportion, and one of many that
/// share the cores less often: they need the time themselves.
const SHORTEST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// The pause as a part of the time waited so far.
const PAUSE_FRACTION: u32 = 32;

/// It did not answer in time.
#[derive(Debug)]
pub struct TimedOut;

/// What readiness needs; made once, shared by all starts.
pub struct Readiness {
    listening: Listening,
    http: reqwest::Client,
    /// Starts that are waited for now.
    waiting: AtomicU32,
}

impl Readiness {
    pub fn new() -> Result<Readiness, reqwest::Error> {
        // Straight to loopback: no proxy of the host's environment, no redirect followed, no connection kept.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_millis(TRY_TIMEOUT_MS))
            .build()?;
        Ok(Readiness { listening: Listening::open(), http, waiting: AtomicU32::new(0) })
    }

    /// Resolves when something on the port answers an HTTP GET. Cancel by dropping.
    pub async fn until_answered(&self, port: u16) -> Result<(), TimedOut> {
        let mut patience = Patience::new(&self.waiting);
        let patient = async {
            loop {
                self.until_listening(port, &mut patience).await;
                if self.answers(port).await {
                    return;
                }
                patience.pause().await;
            }
        };
        tokio::time::timeout(Duration::from_millis(TIMEOUT_MS), patient).await.map_err(|_| TimedOut)
    }

    async fn until_listening(&self, port: u16, patience: &mut Patience<'_>) {
        while self.listening.probe(port) == Some(false) {
            patience.pause().await;
        }
    }

    async fn answers(&self, port: u16) -> bool {
        let answer = self.http.get(format!("http://127.0.0.1:{port}/")).send().await;
        tracing::debug!(port, answer = ?answer.as_ref().map(|answer| answer.status()), "readiness request");
        answer.is_ok()
    }
}

/// Pauses that grow with the time waited so far.
struct Patience<'a> {
    /// All that there are.
    waiting: &'a AtomicU32,
    since: Instant,
    /// `None` without a descriptor to spare: then a millisecond is the shortest pause.
    pause: Option<Pause>,
}

impl<'a> Patience<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Patience { waiting, since: clock::start(), pause: Pause::new().ok() }
    }

    async fn pause(&mut self) {
        let duration = pause_after(self.since.elapsed(), self.waiting.load(Ordering::Relaxed));
        let paused = match &mut self.pause {
            Some(pause) => pause.wait(duration).await.is_ok(),
            None => false,
        };
        if !paused {
            tokio::time::sleep(duration).await;
        }
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn pause_after(waited: Duration, waiting: u32) -> Duration {
    let shortest = SHORTEST_PAUSE * (1 + waiting) / 2;
    (waited / PAUSE_FRACTION).max(shortest).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_looked_at_less_often_the_longer_it_takes_and_the_more_there_are() {
        let (at_once, ms) = (Duration::ZERO, Duration::from_millis);
        assert_eq!(pause_after(at_once, 1), SHORTEST_PAUSE);
        assert_eq!(pause_after(ms(320), 1), ms(10));
        assert_eq!(pause_after(at_once, 7), 4 * SHORTEST_PAUSE);
        assert_eq!(pause_after(ms(320), 7), ms(10), "which is longer anyway");
        assert_eq!(pause_after(ms(20_000), 1), LONGEST_PAUSE);
        assert_eq!(pause_after(at_once, 10_000), LONGEST_PAUSE);
    }
}
