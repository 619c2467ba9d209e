//! What `serve` tells the program that manages it as a service.

use super::guarded;
use linux::host::service_manager;
use napi::bindgen_prelude::*;
use napi_derive::napi;

/// Sends a state, such as `READY=1`, to the socket that `NOTIFY_SOCKET` names. Throws if nothing
/// takes it there.
#[napi]
pub fn notify_service_manager(socket: String, state: String) -> Result<()> {
    guarded(|| service_manager::notify(&socket, &state))?
        .map_err(|error| Error::from_reason(error.to_string()))
}
