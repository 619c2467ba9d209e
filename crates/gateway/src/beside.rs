//! A wait beside work whose task is polled often.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

/// Polls a future only when it was woken, and not each time that its task is: a connection's task is
/// polled twice for each request, for which the timers beside it have nothing to say.
pub(crate) struct Beside<'a, F> {
    future: Pin<&'a mut F>,
    call: Arc<Call>,
    /// The call's.
    waker: Waker,
    /// The task that the call wakes.
    task: Option<Waker>,
}

/// Notes that the future was woken, and wakes its task.
#[derive(Default)]
struct Call {
    is_due: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<'a, F: Future> Beside<'a, F> {
    pub fn new(future: Pin<&'a mut F>) -> Beside<'a, F> {
        let call = Arc::<Call>::default();
        Beside { future, waker: Waker::from(call.clone()), call, task: None }
    }

    pub fn poll(&mut self, context: &Context<'_>) -> Poll<F::Output> {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            self.task = Some(context.waker().clone());
            *self.call.task.lock().unwrap_or_else(PoisonError::into_inner) = self.task.clone();
            self.call.is_due.store(true, Ordering::Relaxed);
        }
        ready!(self.call.poll_due());
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }
}

impl Call {
    /// Takes the note. Other threads write it: a wake that comes after this look is noted again,
    /// and the task is polled for it.
    fn poll_due(&self) -> Poll<()> {
        let is_due =
            self.is_due.load(Ordering::Relaxed) && self.is_due.swap(false, Ordering::Acquire);
        if is_due { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_due.store(true, Ordering::Release);
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wakes::Wakes;
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;

    #[test]
    fn a_future_is_polled_when_it_was_woken() {
        let (polls, waker) = (Cell::new(0), Cell::new(None));
        let future = pin!(poll_fn(|context| {
            polls.set(polls.get() + 1);
            waker.set(Some(context.waker().clone()));
            if polls.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
        }));
        let (first, second) = (Arc::<Wakes>::default(), Arc::<Wakes>::default());
        let mut beside = Beside::new(future);
        let mut poll = |task: &Arc<Wakes>| {
            beside.poll(&Context::from_waker(&Waker::from(task.clone()))).is_ready()
        };
        for _ in 0..3 {
            assert!(!poll(&first));
            assert_eq!(polls.get(), 1);
        }
        waker.take().expect("polled").wake();
        assert_eq!(first.count(), 1);
        assert!(!poll(&first));
        assert_eq!(polls.get(), 2);
        let woken = waker.take().expect("polled");
        // Another task has it from now on, for which it is polled once.
        assert!(poll(&second));
        woken.wake();
        assert_eq!((first.count(), second.count()), (1, 1));
    }
}
