//! The runtime's tenants, as a gateway knows tenants.

use driver::Driver;
use driver::directory::InUse;
use gateway::refusal::{Refusal, Why};
use gateway::tenants;
use pool::{ExitReason, Failure};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// When another try may succeed, where nothing says it: as soon as a visitor would ask again.
const SOON_MS: u64 = 1_000;

/// The longest key, in bytes: as in `lib/checks.js`.
const MOST_KEY_BYTES: usize = 512;

/// The runtime's tenants.
pub struct Tenants {
    driver: Arc<Driver>,
    /// Tenants are the directories below it; `None` if the user's own `spawn` starts them, which
    /// may need no directory.
    root: Option<PathBuf>,
}

impl Tenants {
    pub fn new(driver: Arc<Driver>, root: Option<PathBuf>) -> Tenants {
        Tenants { driver, root }
    }
}

impl tenants::Tenants for Tenants {
    type InUse = Tenant;

    fn acquire(&self, key: &str) -> Option<Tenant> {
        self.driver.directory.acquire(key).filter(|tenant| tenant.port != 0).map(Tenant)
    }

    fn is_there(&self, key: &str) -> bool {
        self.driver.tenants_sleep() && self.driver.directory.has(key)
    }

    fn exists(&self, key: &str) -> bool {
        is_key(key) && self.root.as_ref().is_none_or(|root| is_directory(root, key))
    }

    async fn wake(&self, key: &str) -> Result<Tenant, Refusal> {
        match self.driver.ensure(key).await {
            // An adopted tenant without a port is reached by other means than this.
            Ok(tenant) if tenant.port == 0 => Err(Refusal::new(502, Why::Failed)),
            Ok(tenant) => Ok(Tenant(tenant)),
            Err(refusal) if self.is_called_off(key, &refusal) => Err(failed(&Failure::CalledOff)),
            Err(refusal) => Err(refused(refusal)),
        }
    }
}

impl Tenants {
    /// Whether the start failed because it was stopped, by `kill` for example. The failure itself
    /// says only how the process ended.
    fn is_called_off(&self, key: &str, refusal: &pool::Refusal) -> bool {
        let pool::Refusal::StartFailed { run: Some(run), .. } = refusal else { return false };
        let last_exit = self.driver.status(key).and_then(|status| status.history.last_exit);
        last_exit.is_some_and(|exit| {
            exit.run == *run
                && matches!(
                    exit.reason,
                    ExitReason::Killed | ExitReason::Restarted | ExitReason::Disposed
                )
        })
    }
}

/// A tenant in use by a request.
pub struct Tenant(InUse);

impl tenants::InUse for Tenant {
    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.0.host, self.0.port)
    }

    fn run(&self) -> u64 {
        self.0.run.0
    }

    fn revoked(&self) -> impl Future<Output = ()> + Send + 'static {
        self.0.revoked()
    }
}

/// The answer to a request whose tenant was refused.
fn refused(refusal: pool::Refusal) -> Refusal {
    use pool::Refusal::*;
    match refusal {
        Disposed | NotAdmitted | Draining | InUse { .. } | NotRecovered { .. } => {
            Refusal::new(503, Why::Draining).retry_after(SOON_MS)
        }
        BackingOff { retry_after_ms, .. } => {
            Refusal::new(503, Why::BackingOff).retry_after(retry_after_ms)
        }
        // Only an operator ends this, nobody knows when.
        Exhausted { .. } => Refusal::new(503, Why::BackingOff),
        Overloaded { .. } | NoRoomBeside => Refusal::overloaded(),
        StartFailed { failure, .. } => failed(&failure),
        Taken | StopRefused { .. } | StillTracked { .. } => Refusal::new(502, Why::Failed),
    }
}

/// The answer to a request whose tenant did not start.
fn failed(failure: &Failure) -> Refusal {
    match failure {
        Failure::ReadinessTimedOut { .. } => Refusal::new(504, Why::NotReady),
        Failure::CalledOff => Refusal::new(503, Why::CalledOff).retry_after(SOON_MS),
        // The next start gets another port.
        Failure::PortTaken { .. } | Failure::NoPort => {
            Refusal::new(503, Why::Failed).retry_after(SOON_MS)
        }
        Failure::NotStarted { .. }
        | Failure::Unsupported { .. }
        | Failure::ExitedEarly { .. }
        | Failure::CrashedSoon { .. }
        | Failure::NoBun { .. }
        | Failure::ReadinessDenied
        | Failure::Thrown { .. }
        | Failure::StopTimedOut => Refusal::new(502, Why::Failed),
    }
}

/// Whether it is a key at all: as `assertKey` in `lib/checks.js`, since no key may lead to a
/// directory outside the root.
fn is_key(key: &str) -> bool {
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    key.len() <= MOST_KEY_BYTES
        && !key.contains(|letter: char| letter.is_control() || letter == '\\')
        && key.split('/').all(is_segment)
}

fn is_directory(root: &Path, key: &str) -> bool {
    root.join(key).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_runtime() {
        for key in ["a", "org/app", "with space", "ü", ".hidden", "..."] {
            assert!(is_key(key), "{key:?}");
        }
        let long = "x".repeat(MOST_KEY_BYTES + 1);
        for key in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a\\b", "a\nb", "\u{85}", &long]
        {
            assert!(!is_key(key), "{key:?}");
        }
    }

    #[test]
    fn a_key_needs_a_directory_below_the_root() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(is_directory(root, "src/gateway"));
        assert!(!is_directory(root, "Cargo.toml"));
        assert!(!is_directory(root, "there is nothing of this name"));
    }

    #[test]
    fn each_refusal_has_its_status() {
        let of = |refusal| {
            let Refusal { status, why, retry_after_ms, .. } = refused(refusal);
            (status, why.code(), retry_after_ms)
        };
        let start = |failure| pool::Refusal::StartFailed { run: None, failure };
        let last = Failure::CalledOff;
        let backing_off =
            pool::Refusal::BackingOff { failures: 1, retry_after_ms: 2_500, last: last.clone() };
        assert_eq!(of(pool::Refusal::Disposed), (503, "draining", Some(1_000)));
        assert_eq!(of(pool::Refusal::Draining), (503, "draining", Some(1_000)));
        assert_eq!(of(backing_off), (503, "backing-off", Some(2_500)));
        let exhausted = pool::Refusal::Exhausted { max_failures: 3, last };
        assert_eq!(of(exhausted), (503, "backing-off", None));
        let overloaded = pool::Refusal::Overloaded { waiting: 9 };
        assert_eq!(of(overloaded), (503, "overloaded", Some(1_000)));
        let late = start(Failure::ReadinessTimedOut { found: String::new() });
        assert_eq!(of(late), (504, "not-ready", None));
        assert_eq!(of(start(Failure::CalledOff)), (503, "called-off", Some(1_000)));
        assert_eq!(of(start(Failure::NoPort)), (503, "failed", Some(1_000)));
        assert_eq!(of(start(Failure::ReadinessDenied)), (502, "failed", None));
    }
}
