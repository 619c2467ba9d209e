//! The waker of a connection to a tenant.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Passes a connection's wakes on to the task that drives it. It is the one waker that the
/// connection ever sees, so that none has to be exchanged for another request's; its socket is read
/// with [`Bell::reader`].
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// `None` while the connection is idle.
    task: Mutex<Option<Waker>>,
    is_muted: AtomicBool,
    /// Something has happened since the connection was last polled.
    has_rung: AtomicBool,
    /// The same, while it was muted.
    has_rung_muted: AtomicBool,
    /// There was nothing to read, and its reader was not woken since.
    awaits_read: AtomicBool,
}

/// The waker that the socket is read with. It rings the bell, too; not each of the connection's
/// wakes is one for which the socket has to be looked at.
struct Reader(Arc<Bell>);

impl Wake for Reader {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.awaits_read.store(false, Relaxed);
        self.0.wake_by_ref();
    }
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

    /// Wakes no task from now on.
    pub fn is_for_none(&self) {
        *self.task() = None;
    }

    /// Whether it has rung since the connection was last polled, other than muted.
    pub fn has_rung(&self) -> bool {
        self.has_rung.load(Relaxed)
    }

    /// Whether something may come of another poll of the connection.
    pub fn is_poll_due(&self) -> bool {
        self.has_rung.load(Relaxed) || self.has_rung_muted.load(Relaxed)
    }

    /// The connection is about to be polled.
    pub fn reset(&self) {
        self.has_rung.store(false, Relaxed);
        self.has_rung_muted.store(false, Relaxed);
    }

    /// The waker to read the connection's socket with.
    pub fn reader(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::new(Reader(self.clone())))
    }

    /// The socket is about to be read. It was read when `has_read` follows; otherwise there was
    /// nothing, and the reader is woken when there is.
    pub fn reads(&self) {
        self.awaits_read.store(true, Relaxed);
    }

    pub fn has_read(&self) {
        self.awaits_read.store(false, Relaxed);
    }

    /// Whether another look at the socket would find nothing to read: events come in on the
    /// connection's own thread, and each of them wakes the reader.
    pub fn awaits_read(&self) -> bool {
        self.awaits_read.load(Relaxed)
    }

    /// Wakes no task while what is returned lives. That it has rung is noted.
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
            self.has_rung_muted.store(true, Relaxed);
            return;
        }
        // Before the task is woken, so that it sees it.
        self.has_rung.store(true, Relaxed);
        if let Some(task) = &*self.task() {
            task.wake_by_ref();
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
    use crate::wakes::Wakes;

    #[test]
    fn a_bell_rings_for_its_task_unless_it_is_muted() {
        let (bell, task) = (Arc::<Bell>::default(), Arc::<Wakes>::default());
        let waker = Waker::from(bell.clone());
        let ring = || {
            bell.reset();
            assert!(!bell.is_poll_due());
            waker.wake_by_ref();
            assert!(bell.is_poll_due());
            (task.count(), bell.has_rung())
        };
        bell.is_for(&Waker::from(task.clone()));
        assert_eq!(ring(), (1, true));
        let muted = bell.mute();
        assert_eq!(ring(), (1, false));
        drop(muted);
        assert_eq!(ring(), (2, true));
        bell.is_for_none();
        assert_eq!(ring(), (2, true));
    }

    #[test]
    fn a_look_for_what_there_is_to_read_is_due_when_its_reader_was_woken() {
        let bell = Arc::<Bell>::default();
        for is_muted in [false, true] {
            assert!(!bell.awaits_read());
            bell.reads();
            bell.reset();
            let muted = is_muted.then(|| bell.mute());
            Waker::from(bell.clone()).wake();
            assert!(bell.awaits_read());
            bell.reset();
            bell.reader().wake();
            assert!(bell.is_poll_due());
            drop(muted);
        }
        assert!(!bell.awaits_read());
    }
}
