//! What `tenant` says of one start, as `lib/tenant/settings.js` has read it: validated, with the
//! same names.

use super::confinement::{NativeIsolation, NativeLimits, asked};
use super::options::limit;
use driver::tenant_settings::TenantSettings;
use napi_derive::napi;
use pool::RunRules;
use std::time::Duration;

#[napi(object, object_to_js = false)]
pub struct NativeTenantSettings {
    pub command: Option<Vec<String>>,
    pub readiness_timeout_ms: Option<f64>,
    pub readiness_path: Option<String>,
    pub idle_after_ms: Option<f64>,
    pub stop_timeout_ms: Option<f64>,
    pub warm: bool,
    pub has_default_env: bool,
    pub limits: Option<NativeLimits>,
    pub isolation: Option<NativeIsolation>,
}

impl NativeTenantSettings {
    /// The driver's settings.
    pub fn settings(self) -> TenantSettings {
        // `as` saturates: `Infinity` becomes the largest number.
        let milliseconds = |ms: f64| Duration::from_millis(ms as u64);
        TenantSettings {
            command: self.command,
            readiness_timeout: self.readiness_timeout_ms.map(milliseconds),
            readiness_path: self.readiness_path,
            has_default_env: self.has_default_env,
            asked: asked(self.limits, self.isolation),
            rules: RunRules {
                idle_after_ms: self.idle_after_ms.map(limit),
                stop_timeout_ms: self.stop_timeout_ms.map(|ms| ms as u64),
                is_warm: self.warm,
            },
        }
    }
}
