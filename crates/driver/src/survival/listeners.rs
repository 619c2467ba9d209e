//! Listeners of gateways: the warden keeps them, so that whoever connects while there is no host
//! waits for the next one.

use crate::Driver;
use crate::machine::{Engine, Machine};
use linux::warden_link::surviving::FoundListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

impl<M: Machine> Driver<M> {
    /// Takes a listener that an earlier host has left, if there is one for which this holds.
    pub fn take_listener(&self, is_it: impl Fn(BorrowedFd<'_>) -> bool) -> Option<(u64, OwnedFd)> {
        let mut core = self.lock();
        let engine = core.engine.engine().cloned()?;
        let listeners = &mut core.survival.as_mut()?.listeners;
        let found = listeners.iter().position(|found| is_it(found.socket.as_fd()))?;
        let FoundListener { slot, socket } = listeners.remove(found);
        if let Ok(copy) = socket.try_clone() {
            // It is kept already, but not for a warden that is started after this one was lost.
            engine.keep_listener(slot, copy);
        }
        Some((slot, socket))
    }

    /// Has the warden keep a listener. Returns its slot; `None` if this runtime's do not outlive it.
    pub fn keep_listener(self: &Arc<Self>, socket: OwnedFd) -> Option<u64> {
        let mut core = self.lock();
        let engine = core.engine.engine().cloned()?;
        let survival = core.survival.as_mut()?;
        survival.last_slot += 1;
        engine.keep_listener(survival.last_slot, socket);
        Some(survival.last_slot)
    }

    /// The gateway has closed: its listener goes. Nothing, if this host has left it to the next.
    pub fn drop_listener(&self, slot: u64) {
        let core = self.lock();
        if let Some(engine) = core.engine.engine() {
            engine.drop_listener(slot);
        }
    }
}
