//! The open runtimes, gateways and parts in fleets of this thread's JavaScript environment. They are abandoned when
//! it ends: when a worker is terminated, or when the host exits.

use super::fleet::Membership;
use super::gateway::Opened;
use super::guarded;
use driver::Driver;
use napi::bindgen_prelude::{Env, Result};
use std::cell::RefCell;
use std::sync::{Arc, Weak};

thread_local! {
    /// The open runtimes; `None` until there was one. They share one cleanup hook, since napi
    /// frees a hook only by calling it.
    static OPEN: RefCell<Option<Vec<Weak<Driver>>>> = const { RefCell::new(None) };

    /// The fleets that these runtimes are in.
    static FLEETS: RefCell<Vec<Weak<Membership>>> = const { RefCell::new(Vec::new()) };

    /// The gateways of these runtimes.
    static GATEWAYS: RefCell<Vec<Weak<Opened>>> = const { RefCell::new(Vec::new()) };
}

/// Adds a runtime that was opened. An error: the cleanup hook could not be added.
pub fn add(env: &Env, driver: &Arc<Driver>) -> Result<()> {
    OPEN.with_borrow_mut(|open| {
        if open.is_none() {
            env.add_env_cleanup_hook((), |()| {
                let _ = guarded(abandon_all);
            })?;
        }
        open.get_or_insert_default().push(Arc::downgrade(driver));
        Ok(())
    })
}

/// Removes a runtime that was closed.
pub fn remove(driver: &Arc<Driver>) {
    OPEN.with_borrow_mut(|open| {
        let is_other = |other: &Weak<Driver>| {
            other.strong_count() > 0 && other.as_ptr() != Arc::as_ptr(driver)
        };
        open.iter_mut().for_each(|open| open.retain(is_other));
    });
}

/// Adds a gateway that was opened, in front of a runtime that was.
pub fn add_gateway(gateway: &Arc<Opened>) {
    GATEWAYS.with_borrow_mut(|gateways| {
        gateways.retain(|other| other.strong_count() > 0);
        gateways.push(Arc::downgrade(gateway));
    });
}

/// Adds the part in a fleet of a runtime that was opened.
pub fn add_fleet(membership: &Arc<Membership>) {
    FLEETS.with_borrow_mut(|fleets| {
        fleets.retain(|other| other.strong_count() > 0);
        fleets.push(Arc::downgrade(membership));
    });
}

fn abandon_all() {
    FLEETS.take().iter().filter_map(Weak::upgrade).for_each(|fleet| fleet.abandon());
    GATEWAYS.take().iter().filter_map(Weak::upgrade).for_each(|gateway| gateway.abandon());
    let open = OPEN.take().unwrap_or_default();
    open.iter().filter_map(Weak::upgrade).for_each(|driver| driver.abandon());
}
