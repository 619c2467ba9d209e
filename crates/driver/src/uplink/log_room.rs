//! The room that log text takes up on its way to JavaScript: what makes a tenant wait at its own output.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Log text of all tenants on its way.
const OF_ALL_BYTES: usize = 8 << 20;
/// Log text of one tenant on its way, so that a noisy one leaves room for the others.
const OF_RUN_BYTES: usize = 512 << 10;
/// So much of it needs none of the room of all: a tenant with a few lines does not wait behind those that fill it.
const OWN_BYTES: usize = 32 << 10;
/// What a line takes up besides its text: a short one is as much work as another.
const LINE_BYTES: usize = 64;

/// What so many lines cost: the room that they take up, and the turns of their tenant.
pub const fn charge(text_bytes: usize, lines: usize) -> usize {
    text_bytes + lines * LINE_BYTES
}

/// The room that all runs share.
pub struct SharedRoom(Arc<Semaphore>);

impl SharedRoom {
    pub fn new() -> SharedRoom {
        SharedRoom(Arc::new(Semaphore::new(OF_ALL_BYTES)))
    }

    /// Room for the log text of one run.
    pub fn of_run(&self) -> LogRoom {
        LogRoom { of_run: Arc::new(Semaphore::new(OF_RUN_BYTES)), of_all: self.0.clone() }
    }

    /// Nobody takes log text any more: whoever waits for room is told, and so is whoever asks for it.
    pub fn close(&self) {
        self.0.close();
    }
}

/// The room that one run's log text has. Both semaphores serve in the order of arrival, so no tenant starves.
pub struct LogRoom {
    of_run: Arc<Semaphore>,
    of_all: Arc<Semaphore>,
}

impl LogRoom {
    /// Waits until there is so much; `None` if JavaScript is gone. To be given up by dropping the future.
    pub async fn reserve(&self, charge: usize) -> Option<Room> {
        let permits = permits(charge.min(OF_RUN_BYTES));
        let of_run = self.of_run.clone().acquire_many_owned(permits).await.ok()?;
        if self.of_all.is_closed() {
            return None;
        }
        let taken_bytes = OF_RUN_BYTES - self.of_run.available_permits();
        let of_all = if taken_bytes <= OWN_BYTES {
            None
        } else {
            Some(self.of_all.clone().acquire_many_owned(permits).await.ok()?)
        };
        Some(Room { of_run, of_all })
    }

    /// Waits until JavaScript is done with all that the run had room for.
    pub async fn emptied(&self) {
        let _ = self.of_run.acquire_many(permits(OF_RUN_BYTES)).await;
    }
}

/// Room that log text takes up until JavaScript is done with it; given back when dropped.
pub struct Room {
    of_run: OwnedSemaphorePermit,
    of_all: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Splits off the part for so much of the text, or all that there is.
    pub fn split(&mut self, charge: usize) -> Room {
        let split = |permit: &mut OwnedSemaphorePermit| {
            let part = permit.split(charge.min(permit.num_permits()));
            part.expect("no more than there is")
        };
        Room { of_run: split(&mut self.of_run), of_all: self.of_all.as_mut().map(split) }
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("far less than 4 GB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// Whether it has to wait, if it is asked for now.
    fn is_waiting<T>(future: impl Future<Output = T>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[test]
    fn text_takes_up_room_until_it_is_dropped() {
        let room = SharedRoom::new().of_run();
        let mut held = block_on(room.reserve(OF_RUN_BYTES)).unwrap();
        assert!(is_waiting(room.reserve(1)), "a run has its room and no more");
        let part = held.split(100);
        drop(part);
        assert!(!is_waiting(room.reserve(100)));
        assert!(is_waiting(room.reserve(101)));
        assert!(is_waiting(room.emptied()), "some of it is still held");
        drop(held);
        assert!(!is_waiting(room.emptied()));
    }

    #[test]
    fn a_run_with_little_on_its_way_does_not_wait_for_those_with_much() {
        let shared = SharedRoom::new();
        let noisy: Vec<LogRoom> = (0..=OF_ALL_BYTES / OF_RUN_BYTES).map(|_| shared.of_run()).collect();
        let (last, others) = noisy.split_last().unwrap();
        let held: Vec<Room> =
            others.iter().map(|room| block_on(room.reserve(OF_RUN_BYTES)).unwrap()).collect();
        assert!(is_waiting(last.reserve(OF_RUN_BYTES)), "the room of all is full");
        let quiet = shared.of_run();
        let first = block_on(quiet.reserve(OWN_BYTES)).unwrap();
        assert!(is_waiting(quiet.reserve(1)), "it is as noisy as the others by now");
        drop(first);
        assert!(!is_waiting(quiet.reserve(OWN_BYTES)));
        drop(held);
        assert!(!is_waiting(last.reserve(OF_RUN_BYTES)));
    }

    #[test]
    fn nobody_waits_for_a_javascript_that_is_gone() {
        let shared = SharedRoom::new();
        let room = shared.of_run();
        shared.close();
        assert!(block_on(room.reserve(1)).is_none());
        assert!(block_on(room.reserve(OF_RUN_BYTES)).is_none());
    }
}
