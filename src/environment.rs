//! The runtimes of this thread's JavaScript environment, which end with it at the latest: when a worker is terminated, and at
//! a natural end of the host.

use super::guarded;
use driver::Driver;
use napi::bindgen_prelude::{Env, Result};
use std::cell::RefCell;
use std::sync::{Arc, Weak};

thread_local! {
    /// Those that are open; `None` until there was one. They share one hook, since napi frees one only by calling it.
    static OPEN: RefCell<Option<Vec<Weak<Driver>>>> = const { RefCell::new(None) };
}

/// Has the runtime end with the environment.
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

/// It is closed.
pub fn remove(driver: &Arc<Driver>) {
    OPEN.with_borrow_mut(|open| {
        let is_other =
            |other: &Weak<Driver>| other.strong_count() > 0 && other.as_ptr() != Arc::as_ptr(driver);
        open.iter_mut().for_each(|open| open.retain(is_other));
    });
}

fn abandon_all() {
    let open = OPEN.take().unwrap_or_default();
    open.iter().filter_map(Weak::upgrade).for_each(|driver| driver.abandon());
}
