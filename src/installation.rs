//! What the loader (`lib/bridge/native.js`) asks first: the addon's version, and the path of its
//! warden.

use super::guarded;
use linux::warden_link::program;
use napi::bindgen_prelude::*;
use napi_derive::napi;

/// The version of the package that this addon was built for.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The path of the warden beside the addon at `addon_path`. Throws if it cannot be run, or if its
/// path is not UTF-8.
#[napi]
pub fn warden_beside(addon_path: String) -> Result<String> {
    let warden = guarded(|| program::beside(addon_path.as_ref()))?.map_err(Error::from_reason)?;
    warden.into_os_string().into_string().map_err(|path| {
        Error::from_reason(format!("the path of the warden must be UTF-8, got {}", path.display()))
    })
}
