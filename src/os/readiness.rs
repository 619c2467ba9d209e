//! Default readiness: wait until the port listens, then until it answers one HTTP request, whatever the answer.

use crate::os::clock;
use crate::os::listening::Listening;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// In all, from the spawn.
const TIMEOUT_MS: u64 = 30_000;
/// One HTTP request.
const TRY_TIMEOUT_MS: u64 = 2_000;
/// Between two looks at a port, and between two requests. A look costs 2–3 µs, so a start of 12 ms is noticed
/// within a millisecond; one that takes longer is looked at in proportion.
const SHORTEST_PAUSE_MS: u64 = 1;
const LONGEST_PAUSE_MS: u64 = 100;
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
        let since = clock::start();
        let patient = async {
            loop {
                self.until_listening(port, since).await;
                if self.answers(port).await {
                    return;
                }
                sleep(pause_after(since)).await;
            }
        };
        tokio::time::timeout(Duration::from_millis(TIMEOUT_MS), patient).await.map_err(|_| TimedOut)
    }

    async fn until_listening(&self, port: u16, since: Instant) {
        while self.listening.probe(port) == Some(false) {
            sleep(pause_after(since)).await;
        }
    }

    async fn answers(&self, port: u16) -> bool {
        let answer = self.http.get(format!("http://127.0.0.1:{port}/")).send().await;
        tracing::debug!(port, answer = ?answer.as_ref().map(|answer| answer.status()), "readiness request");
        answer.is_ok()
    }
}

fn pause_after(since: Instant) -> Duration {
    (since.elapsed() / PAUSE_FRACTION)
        .clamp(Duration::from_millis(SHORTEST_PAUSE_MS), Duration::from_millis(LONGEST_PAUSE_MS))
}
