//! The gateway in front of a runtime's tenants: converts between JavaScript and `crates/gateway`,
//! which knows tenants by a trait that the driver's are fitted to here.

mod access;
mod hooks;
#[allow(unsafe_code, reason = "a descriptor is given by its number")]
mod inherited;
mod notices;
#[allow(unsafe_code, reason = "the conversion to a JavaScript value is an unsafe trait method")]
mod object;
mod opened;
mod settings;
pub mod tenants;

pub use opened::Opened;

use super::environment;
use super::fleet::Slot;
use super::functions::Functions;
use napi::bindgen_prelude::{Function, Result};
use notices::{NativeNotice, Notices};
use object::NativeOpened;
use settings::NativeGateway;
use std::path::PathBuf;
use std::sync::Arc;
use tenants::Local;

impl Functions<'_> {
    /// The function that opens a gateway in front of the runtime's tenants. `root`: tenants are the
    /// directories below it, unless the user starts them.
    pub fn gateway_functions(&mut self, root: Option<PathBuf>, slot: Arc<Slot>) -> Result<()> {
        self.define("openGateway", move |driver, call| {
            type Arguments<'a> = (NativeGateway, Function<'a, NativeNotice, ()>);
            let (options, noticed) = call.args::<Arguments>()?;
            let certificates = options.certificates();
            if let Some(problem) = opened::problem_of(&certificates) {
                return Ok(NativeOpened::Problem(problem));
            }
            let notices = Notices::new(noticed)?;
            let tenants = Local { driver: driver.clone(), root: root.clone() };
            let opened = Opened::start(options.settings(), tenants, slot.clone(), notices);
            environment::add_gateway(&opened);
            Ok(NativeOpened::Gateway(opened))
        })
    }
}
