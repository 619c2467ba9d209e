//! The waker of a connection to a tenant.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Passes a connection's wakes on to the task that drives it. It is the one waker that the
/// connection ever sees, so that none has to be exchanged for another request's.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// `None` while the connection is idle.
    task: Mutex<Option<Waker>>,
    is_muted: AtomicBool,
    /// Something has happened while the connection was idle.
    has_rung: AtomicBool,
}

impl Bell {
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes this task from now on.
    pub fn is_for(&self, waker: &Waker) {
        let mut task = self.task();
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// Wakes no task from now on, and notes whether it would have.
    pub fn is_for_none(&self) {
        *self.task() = None;
        self.has_rung.store(false, Relaxed);
    }

    pub fn has_rung(&self) -> bool {
        self.has_rung.load(Relaxed)
    }

    pub fn mute(&self) -> Muted<'_> {
        self.is_muted.store(true, Relaxed);
        Muted(self)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_muted.load(Relaxed) {
            return;
        }
        match &*self.task() {
            Some(task) => task.wake_by_ref(),
            None => self.has_rung.store(true, Relaxed),
        }
    }
}

/// Mutes a connection's bell while it lives.
pub(super) struct Muted<'a>(&'a Bell);

impl Drop for Muted<'_> {
    fn drop(&mut self) {
        self.0.is_muted.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_bell_rings_for_its_task_unless_it_is_muted() {
        let (bell, count) = (Arc::<Bell>::default(), Arc::<Count>::default());
        bell.is_for(&Waker::from(count.clone()));
        let waker = Waker::from(bell.clone());
        waker.wake_by_ref();
        let muted = bell.mute();
        waker.wake_by_ref();
        assert_eq!(count.0.load(Relaxed), 1);
        drop(muted);
        waker.wake_by_ref();
        assert_eq!((count.0.load(Relaxed), bell.has_rung()), (2, false));
        bell.is_for_none();
        waker.wake_by_ref();
        assert_eq!((count.0.load(Relaxed), bell.has_rung()), (2, true));
    }
}
