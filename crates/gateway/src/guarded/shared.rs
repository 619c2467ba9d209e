//! What a client's stream and the requests on it tell each other.

use crate::count::Count;
use crate::refusal::Refusal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// What the stream and the requests on it tell each other. All of them are on one thread.
#[derive(Debug, Default)]
pub struct Shared {
    refusal: Mutex<Option<Refusal>>,
    /// The refusal was answered as the answer to a request whose body it was found in.
    is_answered: AtomicBool,
    other_protocol: AtomicBool,
    in_flight: Count,
    begun: Count,
    /// Is woken when a request is over. Hardly ever there: the flag spares most requests the lock.
    awaits_end: Mutex<Option<Waker>>,
    is_end_awaited: AtomicBool,
}

impl Shared {
    /// Why the connection ends, if what the client sent was refused. The caller answers it.
    pub fn take_refusal(&self) -> Option<Refusal> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if refusal.is_some() {
            self.is_answered.store(true, Ordering::Relaxed);
        }
        refusal
    }

    /// Ends the connection, as what the client sent is refused.
    pub(super) fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    /// Why the connection ends, if that is still to be said.
    pub(super) fn untold_refusal(&self) -> Option<Refusal> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        refusal.filter(|_| !self.is_answered.load(Ordering::Relaxed))
    }

    /// The tenant has agreed to another protocol.
    pub fn allow_other_protocol(&self) {
        self.other_protocol.store(true, Ordering::Release);
    }

    pub(super) fn has_other_protocol(&self) -> bool {
        self.other_protocol.load(Ordering::Acquire)
    }

    pub(crate) fn begins(&self) {
        self.in_flight.add(1);
        self.begun.add(1);
    }

    pub(crate) fn ends(&self) {
        self.in_flight.take_off(1);
        if !self.is_end_awaited.load(Ordering::Relaxed) {
            return;
        }
        self.is_end_awaited.store(false, Ordering::Relaxed);
        let waiting = self.awaits_end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Wakes this once a request is over.
    pub(super) fn await_end(&self, waker: &Waker) {
        let mut waiting = self.awaits_end.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = Some(waker.clone());
        self.is_end_awaited.store(true, Ordering::Relaxed);
    }

    /// How many requests have begun on the connection.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.get()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.get() > 0
    }
}
