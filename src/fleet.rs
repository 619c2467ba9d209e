//! This host's part in a fleet: converts between JavaScript and the member, which knows the tenants of
//! its host by what `local.rs` makes of the driver.

mod local;
mod member;
mod notices;
#[allow(unsafe_code, reason = "the conversion to a JavaScript value is an unsafe trait method")]
mod object;
mod settings;
mod standing;

use super::environment;
use super::functions::Functions;
pub use member::Membership;
use napi::bindgen_prelude::{Function, Result};
use notices::{NativeFleetNotice, Notices};
use object::NativeMembership;
use settings::NativeFleet;

impl Functions<'_> {
    /// The functions that make the runtime a part of a fleet.
    pub fn fleet_functions(&mut self) -> Result<()> {
        // From now on only what is claimed is started.
        self.add_plain("admitOnly", |driver| driver.admit_only())?;
        // What processes of the key are told from those of other claims by.
        self.add("epoch", |driver, (key,): (String,)| driver.epoch_of(&key))?;
        self.define("openFleet", |driver, call| {
            type Arguments<'a> = (NativeFleet, Function<'a, NativeFleetNotice, ()>);
            let (settings, noticed) = call.args::<Arguments>()?;
            let notices = Notices::new(noticed)?;
            let membership = Membership::open(settings.settings(), driver, notices);
            environment::add_fleet(&membership);
            Ok(NativeMembership(membership))
        })
    }
}
