//! The options as `lib/fleet/options.js` has read them: validated and complete, with the same names.

use fleet::{Config, Terms};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;
use store::etcd::{Credentials, Identity, Tls};

#[napi(object, object_to_js = false)]
pub struct NativeFleet {
    pub host: NativeHostOptions,
    pub store: NativeStore,
    pub lease_ms: f64,
    pub drain_ms: f64,
    pub secret: Option<Uint8Array>,
    pub tls: Option<NativeFleetTls>,
}

#[napi(object, object_to_js = false)]
pub struct NativeHostOptions {
    pub id: String,
    pub address: String,
    pub weight: f64,
    pub zone: Option<String>,
}

/// A store in etcd.
#[napi(object, object_to_js = false)]
pub struct NativeStore {
    pub endpoints: Vec<String>,
    pub prefix: String,
    pub user: Option<String>,
    pub password: Option<String>,
    pub ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
}

#[napi(object, object_to_js = false)]
pub struct NativeFleetTls {
    pub cert: String,
    pub key: String,
    pub ca: String,
}

/// The options of a member.
pub struct Settings {
    pub member: Config,
    pub store: store::etcd::Settings,
    /// How long another host may give no sign of life while something is asked of it.
    pub patience: Duration,
    /// How long uses of a key that passes to another host may go on.
    pub drain: Duration,
    pub trust: Trust,
}

/// By what hosts know each other.
pub enum Trust {
    Secret(Vec<u8>),
    Tls(NativeFleetTls),
}

/// The claim of a key whose tenant does not run is kept for so long, as its files are in this host's
/// memory.
const KEEP_MS: u64 = 600_000;
/// A tenant that was made ready for a key that does not come.
const RESERVE_MS: u64 = 60_000;
/// A start takes a core or so: more at once would be ready later.
const MOVES_AT_ONCE: usize = 4;
/// A host counts as cut off, for what is asked of it, when it has given no sign of life for half a
/// lease: not sooner than after two questions that a network may have lost, and not later where a long
/// lease is to outlive an outage of the store.
const LEAST_PATIENCE_MS: u64 = 2_500;
const MOST_PATIENCE_MS: u64 = 5_000;
const REBALANCE_EVERY_MS: u64 = 10_000;

impl NativeFleet {
    pub fn settings(self) -> Settings {
        let NativeHostOptions { id, address, weight, zone } = self.host;
        let lease_ms = self.lease_ms as u64;
        let secret = self.secret.map(|secret| secret.to_vec()).unwrap_or_default();
        let member = Config {
            id: id.into(),
            address: address.into(),
            zone: zone.map(Arc::from),
            weight,
            run: chance().into(),
            terms: Terms::of(lease_ms).expect("lib/fleet/options.js allows none as short"),
            keep_ms: KEEP_MS,
            reserve_ms: RESERVE_MS,
            moves_at_once: MOVES_AT_ONCE,
            rebalance_every_ms: REBALANCE_EVERY_MS,
        };
        Settings {
            store: self.store.settings(lease_ms),
            member,
            patience: Duration::from_millis(
                (lease_ms / 2).clamp(LEAST_PATIENCE_MS, MOST_PATIENCE_MS),
            ),
            drain: Duration::from_secs_f64(self.drain_ms.max(0.0) / 1_000.0),
            trust: self.tls.map_or(Trust::Secret(secret), Trust::Tls),
        }
    }
}

impl NativeStore {
    fn settings(self, lease_ms: u64) -> store::etcd::Settings {
        let NativeStore { endpoints, prefix, user, password, ca, cert, key } = self;
        let credentials = user.zip(password).map(|(user, password)| Credentials { user, password });
        let identity = cert.zip(key).map(|(cert, key)| Identity { cert, key });
        let tls = ca.map(|ca| Tls { ca, identity });
        // Two of them fit between two beats, of which there are three in a lease.
        let attempt = Duration::from_millis(lease_ms / 7);
        store::etcd::Settings { endpoints, prefix, attempt, credentials, tls }
    }
}

/// A text that no other process has had.
fn chance() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}-{}", random(), random(), std::process::id())
}
