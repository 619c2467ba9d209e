//! The options as `lib/fleet/options.js` has read them: validated and complete, with the same names.

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use std::time::Duration;

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
}

#[napi(object, object_to_js = false)]
pub struct NativeFleetTls {
    pub cert: String,
    pub key: String,
    pub ca: String,
}

/// The options of a member.
pub struct Settings {
    pub id: String,
    pub address: String,
    pub weight: f64,
    pub zone: Option<String>,
    pub store: NativeStore,
    pub lease_ms: u64,
    /// How long uses of a key that passes to another host may go on.
    pub drain: Duration,
    pub trust: Trust,
}

/// By what hosts know each other.
pub enum Trust {
    Secret(Vec<u8>),
    Tls(NativeFleetTls),
}

impl NativeFleet {
    pub fn settings(self) -> Settings {
        let NativeHostOptions { id, address, weight, zone } = self.host;
        let secret = self.secret.map(|secret| secret.to_vec()).unwrap_or_default();
        Settings {
            id,
            address,
            weight,
            zone,
            store: self.store,
            lease_ms: self.lease_ms as u64,
            drain: Duration::from_secs_f64(self.drain_ms.max(0.0) / 1_000.0),
            trust: self.tls.map_or(Trust::Secret(secret), Trust::Tls),
        }
    }
}
