//! A timer for deadlines that are moved on, and hardly ever reached.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use tokio::task::coop;
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
        loop {
            // A task whose budget is used up cannot set the timer, and is woken at once to try again.
            self.task = coop::has_budget_remaining().then(|| context.waker().clone());
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
    use crate::wakes::Wakes;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_task_without_budget_sets_it_when_it_has_some_again() {
        let deadline = tokio::time::sleep(Duration::from_secs(60)).deadline();
        let (mut alarm, mut is_first) = (Alarm::default(), true);
        let alarm = poll_fn(|context| {
            if std::mem::take(&mut is_first) {
                while let Poll::Ready(budget) = coop::poll_proceed(context) {
                    budget.made_progress();
                }
            }
            alarm.poll(deadline.into_std(), context)
        });
        let patience = Duration::from_secs(600);
        tokio::time::timeout(patience, alarm).await.expect("it goes off");
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_that_asked_last_is_woken_at_the_last_deadline() {
        let start = tokio::time::sleep(Duration::ZERO).deadline().into_std();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (first, second) = (Arc::<Wakes>::default(), Arc::<Wakes>::default());
        let wakes = || (first.count(), second.count());
        let mut alarm = Alarm::default();
        let mut is_over = |task: &Arc<Wakes>, seconds| {
            let waker = Waker::from(task.clone());
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
