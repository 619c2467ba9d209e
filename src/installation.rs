//! What the loader asks before anything else: whether this is the addon it wants, and where its warden is.

use super::guarded;
use linux::warden_link::program;
use napi::bindgen_prelude::*;
use napi_derive::napi;

/// The version of the package that this addon was built for.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The path of the warden that came with the addon at `addon_path`; throws when it cannot be run.
#[napi]
pub fn warden_beside(addon_path: String) -> Result<String> {
    let warden = guarded(|| program::beside(addon_path.as_ref()))?.map_err(Error::from_reason)?;
    warden.into_os_string().into_string().map_err(|path| {
        Error::from_reason(format!("the path of the warden must be UTF-8, got {}", path.display()))
    })
}
