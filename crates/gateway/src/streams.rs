//! Answers over HTTP/2 that their clients do not take. Each stream has a window of its own, so the
//! socket says nothing of it: a client may go on with other streams and never read this one, whose
//! tenant would be in use for ever.

use crate::alarm::Alarm;
use crate::clock;
use hyper::rt::Executor;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// What the answer of a stream waits for.
#[derive(Clone, Copy, Default)]
struct Answering {
    /// Its client has to take what is there; otherwise its tenant has to say more.
    waits_for_client: bool,
    /// How many parts were taken.
    parts: u64,
}

tokio::task_local! {
    static ANSWERING: Cell<Answering>;
}

/// The head of the answer is there.
pub(crate) fn has_answered() {
    note(|answering| answering.waits_for_client = true);
}

/// The library has asked for more of the answer's body, which it does once the client can take
/// it, and has got a part, or none yet.
pub(crate) fn was_asked(has_part: bool) {
    note(|answering| {
        answering.waits_for_client = has_part;
        answering.parts += 1;
    });
}

/// Outside the task of a stream there is nothing to note it in.
fn note(change: impl FnOnce(&mut Answering)) {
    let _ = ANSWERING.try_with(|answering| {
        let mut noted = answering.get();
        change(&mut noted);
        answering.set(noted);
    });
}

/// Runs the streams of a connection. One whose client takes nothing of its answer for so long is
/// dropped, which resets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    pub patience: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(ANSWERING.scope(Cell::default(), bounded(stream, self.patience)));
    }
}

async fn bounded(stream: impl Future<Output = ()>, patience: Duration) {
    let mut stream = pin!(stream);
    let mut stall = Stall { patience, seen: None, alarm: Alarm::default() };
    poll_fn(|context| match stream.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => stall.poll(ANSWERING.with(Cell::get), context),
    })
    .await;
}

struct Stall {
    patience: Duration,
    /// How many parts were taken when the wait for the client began, and when it ends.
    seen: Option<(u64, Instant)>,
    alarm: Alarm,
}

impl Stall {
    /// Ready when the client has taken nothing for too long.
    fn poll(&mut self, answering: Answering, context: &mut Context<'_>) -> Poll<()> {
        if !answering.waits_for_client {
            self.seen = None;
            return Poll::Pending;
        }
        let deadline = match self.seen {
            Some((parts, deadline)) if parts == answering.parts => deadline,
            _ => clock::now() + self.patience,
        };
        self.seen = Some((answering.parts, deadline));
        ready!(self.alarm.poll(deadline, context));
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[tokio::test]
    async fn each_part_that_a_client_takes_gives_it_all_of_its_time_again() {
        let (patience, alarm) = (Duration::from_secs(600), Alarm::default());
        let mut stall = Stall { patience, seen: None, alarm };
        let mut deadline = |waits_for_client, parts| {
            let now = clock::now();
            while clock::now() == now {}
            let mut context = Context::from_waker(Waker::noop());
            assert!(stall.poll(Answering { waits_for_client, parts }, &mut context).is_pending());
            stall.seen.map(|(_, deadline)| deadline)
        };
        let first = deadline(true, 1);
        assert!(first.is_some());
        assert_eq!(deadline(true, 1), first);
        assert!(deadline(true, 2) > first);
        // Its tenant may take as long as it likes.
        assert_eq!(deadline(false, 3), None);
    }
}
