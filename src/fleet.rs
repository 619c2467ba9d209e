//! This host's part in a fleet: converts between JavaScript and the member, which knows the tenants of
//! its host by what `local.rs` makes of the driver.

mod local;
mod membership;
mod notices;
#[allow(unsafe_code, reason = "the conversion to a JavaScript value is an unsafe trait method")]
mod object;
mod operators;
mod peers;
mod settings;
mod side;
mod standing;
mod tenants;

use super::environment;
use super::functions::Functions;
use super::gateway::tenants::Local;
pub use membership::Membership;
use napi::bindgen_prelude::{Function, Result};
use notices::{NativeFleetNotice, Notices};
use object::NativeMembership;
pub use peers::Reached;
use settings::NativeFleet;
pub use side::Slot;
use std::path::PathBuf;
use std::sync::Arc;
pub use tenants::From;

impl Functions<'_> {
    /// The functions that make the runtime a part of a fleet, which its gateways find in the slot.
    pub fn fleet_functions(&mut self, root: Option<PathBuf>, slot: Arc<Slot>) -> Result<()> {
        // From now on only what is claimed is started.
        self.add_plain("admitOnly", |driver| driver.admit_only())?;
        // What processes of the key are told from those of other claims by.
        self.add("epoch", |driver, (key,): (String,)| driver.epoch_of(&key))?;
        self.define("openFleet", move |driver, call| {
            type Arguments<'a> = (NativeFleet, Function<'a, NativeFleetNotice, ()>);
            let (settings, noticed) = call.args::<Arguments>()?;
            let notices = Notices::new(noticed)?;
            let tenants = Local { driver: driver.clone(), root: root.clone() };
            let membership = Membership::open(settings.settings(), tenants, slot.clone(), notices);
            environment::add_fleet(&membership);
            Ok(NativeMembership(membership))
        })
    }
}
