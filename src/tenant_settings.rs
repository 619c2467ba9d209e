//! What `tenant` says of one start, as `lib/tenant/settings.js` has read it: validated, with the
//! same names.

use driver::tenant_settings::TenantSettings;
use napi_derive::napi;
use std::time::Duration;

#[napi(object, object_to_js = false)]
pub struct NativeTenantSettings {
    pub command: Option<Vec<String>>,
    pub readiness_timeout_ms: Option<f64>,
    pub readiness_path: Option<String>,
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
        }
    }
}
