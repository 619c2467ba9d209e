//! Default readiness: wait until the port listens, then until it answers one HTTP request, whatever the answer.

use crate::os::clock;
use crate::os::listening::Listening;
use crate::os::pause::Pause;
use std::time::{Duration, Instant};

/// In all, from the spawn.
const TIMEOUT_MS: u64 = 30_000;
/// One HTTP request.
const TRY_TIMEOUT_MS: u64 = 2_000;
/// Between two looks at a port, and between two requests. A look costs 2–3 µs and the waking for it some more, so a start
/// of 12 ms is noticed within half a millisecond; one that takes longer is looked at in proportion.
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
        Ok(Readiness { listening: Listening::open(), http })
    }

    /// Resolves when something on the port answers an HTTP GET. Cancel by dropping.
    pub async fn until_answered(&self, port: u16) -> Result<(), TimedOut> {
        let mut patience = Patience::new();
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

    async fn until_listening(&self, port: u16, patience: &mut Patience) {
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
struct Patience {
    since: Instant,
    /// `None` without a descriptor to spare: then a millisecond is the shortest pause.
    pause: Option<Pause>,
}

impl Patience {
    fn new() -> Self {
        Patience { since: clock::start(), pause: Pause::new().ok() }
    }

    async fn pause(&mut self) {
        let duration = (self.since.elapsed() / PAUSE_FRACTION).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let paused = match &mut self.pause {
            Some(pause) => pause.wait(duration).await.is_ok(),
            None => false,
        };
        if !paused {
            tokio::time::sleep(duration).await;
        }
    }
}
