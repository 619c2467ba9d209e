//! The tenants of a runtime, as a gateway knows tenants.

use crate::fleet::{From, Reached, Slot};
use driver::Driver;
use driver::directory::InUse;
use gateway::peer::{Missed, Peer};
use gateway::refusal::{Refusal, Why};
use gateway::tenants::{self, Reply};
use member::Routes;
use pool::{ExitReason, Failure};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// When another try may succeed, where nothing says it: as soon as a visitor would ask again.
pub const SOON_MS: u64 = 1_000;

/// The longest key, in bytes: as in `lib/checks.js`.
const MOST_KEY_BYTES: usize = 512;

/// The tenants of a runtime, and of the fleet that it may be in.
pub struct Tenants {
    local: Arc<Local>,
    fleet: Arc<Slot>,
    from: From,
}

/// Those of this host.
pub struct Local {
    pub driver: Arc<Driver>,
    /// Tenants are the directories below it; `None` if the user's own `spawn` starts them, which
    /// may need no directory.
    pub root: Option<PathBuf>,
}

impl Tenants {
    /// For the gateway of visitors, or of other hosts.
    pub fn new(local: Arc<Local>, fleet: Arc<Slot>, from: From) -> Tenants {
        Tenants { local, fleet, from }
    }
}

impl tenants::Tenants for Tenants {
    type InUse = Tenant;

    fn acquire(&self, key: &str) -> Option<Tenant> {
        match self.fleet.get() {
            None => self.local.acquire(key).map(Tenant::Alone),
            Some(side) => side.acquire(&self.local, key, self.from),
        }
    }

    fn is_there(&self, key: &str) -> bool {
        self.local.driver.tenants_sleep() && self.local.driver.directory.has(key)
            || self.fleet.get().is_some_and(|side| side.member.routes().owner(key).is_some())
    }

    fn exists(&self, key: &str) -> bool {
        is_key(key) && self.local.root.as_ref().is_none_or(|root| is_directory(root, key))
    }

    async fn wake(&self, key: &str) -> Result<Tenant, Refusal> {
        match self.fleet.get() {
            Some(side) => side.wake(&self.local, key, self.from, &[]).await,
            None => match self.local.wake(key).await {
                // It is about to be one of a fleet's hosts, and not yet.
                Err(Refusal { why: Why::Elsewhere, .. }) => Err(Refusal::fenced()),
                woken => woken.map(Tenant::Alone),
            },
        }
    }

    async fn instead(&self, key: &str, missed: &[Missed]) -> Result<Tenant, Refusal> {
        match self.fleet.get() {
            Some(side) => side.wake(&self.local, key, self.from, missed).await,
            None => self.wake(key).await,
        }
    }

    async fn asked(&self, question: &str, key: &str) -> Result<Reply, Refusal> {
        match self.fleet.get() {
            Some(side) => side.asked(&self.local, question, key).await,
            None => Err(Refusal::new(501, Why::Question)),
        }
    }
}

impl Local {
    /// The key's tenant, if one is ready and has a port: an adopted one may be reached by other
    /// means than this.
    pub fn acquire(&self, key: &str) -> Option<InUse> {
        self.driver.directory.acquire(key).filter(|tenant| tenant.port != 0)
    }

    /// The key's tenant, which is started if it does not run.
    pub async fn wake(&self, key: &str) -> Result<InUse, Refusal> {
        match self.driver.ensure(key).await {
            // An adopted tenant without a port is reached by other means than this.
            Ok(tenant) if tenant.port == 0 => Err(Refusal::new(502, Why::Failed)),
            Ok(tenant) => Ok(tenant),
            Err(refusal) if self.is_called_off(key, &refusal) => Err(failed(&Failure::CalledOff)),
            Err(refusal) => Err(refused(refusal)),
        }
    }

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
pub enum Tenant {
    /// Of a runtime in no fleet.
    Alone(InUse),
    /// Of this host of a fleet, and who says whether it may answer.
    Here(InUse, Arc<Routes>),
    /// Of another host.
    There(Reached),
}

impl tenants::InUse for Tenant {
    fn address(&self) -> SocketAddr {
        match self {
            Tenant::Alone(tenant) | Tenant::Here(tenant, _) => {
                SocketAddr::new(tenant.host, tenant.port)
            }
            Tenant::There(reached) => reached.address,
        }
    }

    fn run(&self) -> u64 {
        match self {
            Tenant::Alone(tenant) | Tenant::Here(tenant, _) => tenant.run.0,
            Tenant::There(reached) => reached.number,
        }
    }

    fn revoked(&self) -> impl Future<Output = ()> + Send + 'static {
        let revoked = match self {
            Tenant::Alone(tenant) | Tenant::Here(tenant, _) => Ok(tenant.revoked()),
            Tenant::There(reached) => Err(reached.gone()),
        };
        async move {
            match revoked {
                Ok(tenant) => tenant.await,
                Err(host) => host.await,
            }
        }
    }

    fn peer(&self) -> Option<&Arc<Peer>> {
        match self {
            Tenant::There(reached) => Some(&reached.peer),
            _ => None,
        }
    }

    fn may_answer(&self) -> bool {
        match self {
            Tenant::Here(_, routes) => routes.may_answer(),
            _ => true,
        }
    }
}

/// The answer to a request whose tenant was refused.
fn refused(refusal: pool::Refusal) -> Refusal {
    use pool::Refusal::*;
    match refusal {
        // In a fleet the key is another host's.
        NotAdmitted => Refusal::elsewhere(None),
        Disposed | Draining | InUse { .. } | NotRecovered { .. } => {
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
