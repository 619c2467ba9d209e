//! A timer for deadlines that are moved on, and hardly ever reached.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use tokio::time::Sleep;

/// A timer that is set anew only when it has gone off too early: most of its deadlines are moved
/// on, request by request, long before they are reached.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// The task that the timer wakes.
    task: Option<Waker>,
}

impl Alarm {
    pub fn poll(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
            self.task = None;
        }
        let is_set = self.task.as_ref().is_some_and(|task| task.will_wake(context.waker()));
        if is_set && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.task = Some(context.waker().clone());
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;
    use std::time::Duration;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_that_asked_last_is_woken_at_the_last_deadline() {
        let start = tokio::time::sleep(Duration::ZERO).deadline().into_std();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (first, second) = (Arc::<Count>::default(), Arc::<Count>::default());
        let wakes = || (first.0.load(Relaxed), second.0.load(Relaxed));
        let mut alarm = Alarm::default();
        let mut is_over = |count: &Arc<Count>, seconds| {
            let waker = Waker::from(count.clone());
            alarm.poll(at(seconds), &mut Context::from_waker(&waker)).is_ready()
        };
        assert!(!is_over(&first, 60));
        assert!(!is_over(&first, 90));
        assert!(!is_over(&second, 90));
        tokio::time::sleep(Duration::from_secs(61)).await;
        // It has gone off too early, and is set anew.
        assert_eq!(wakes(), (0, 1));
        assert!(!is_over(&second, 90));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(wakes(), (0, 2));
        assert!(is_over(&second, 90));
        // An earlier deadline than the one that it is set to.
        assert!(!is_over(&first, 200));
        assert!(!is_over(&first, 100));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(wakes(), (1, 2));
        assert!(is_over(&first, 100));
    }
}
