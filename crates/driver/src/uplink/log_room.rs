//! The room that log text takes up on its way to JavaScript. A tenant without room left waits at
//! its own output.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room of all runs together.
const SHARED_ROOM_BYTES: usize = 8 << 20;
/// The room of one run, so that a noisy tenant leaves room for the others.
const RUN_ROOM_BYTES: usize = 512 << 10;
/// The part of a run's room that takes up none of the shared room: a tenant with a few lines does
/// not wait for those that have filled it.
const UNSHARED_BYTES: usize = 32 << 10;
/// What a line takes up besides its text, since the work for a short line is as much as for
/// another.
const LINE_BYTES: usize = 64;

/// The charge of lines, in bytes: the room that they take up, and their share of their run's
/// turns.
pub const fn charge(text_bytes: usize, lines: usize) -> usize {
    text_bytes + lines * LINE_BYTES
}

/// The room that all runs share. Dropping it does not close it: see [`close`](Self::close).
pub struct SharedRoom(Arc<Semaphore>);

impl SharedRoom {
    pub fn new() -> SharedRoom {
        SharedRoom(Arc::new(Semaphore::new(SHARED_ROOM_BYTES)))
    }

    /// The room of one run's log text.
    pub fn room_for_run(&self) -> LogRoom {
        LogRoom { own: Arc::new(Semaphore::new(RUN_ROOM_BYTES)), shared: self.0.clone() }
    }

    /// Ends all waiting for room, and refuses room from then on, since JavaScript is gone.
    pub fn close(&self) {
        self.0.close();
    }
}

/// The room of one run's log text. Both semaphores serve in the order of arrival, so no run
/// starves.
pub struct LogRoom {
    own: Arc<Semaphore>,
    shared: Arc<Semaphore>,
}

impl LogRoom {
    /// Waits until there is room for the [`charge`]. `None` if JavaScript is gone. Dropping the
    /// future gives up the waiting.
    pub async fn reserve(&self, charge: usize) -> Option<Room> {
        let permits = permits(charge.min(RUN_ROOM_BYTES));
        let own = self.own.clone().acquire_many_owned(permits).await.ok()?;
        if self.shared.is_closed() {
            return None;
        }
        let taken_bytes = RUN_ROOM_BYTES - self.own.available_permits();
        let shared = if taken_bytes <= UNSHARED_BYTES {
            None
        } else {
            Some(self.shared.clone().acquire_many_owned(permits).await.ok()?)
        };
        Some(Room { own, shared, told: None })
    }

    /// Waits until all room of the run is free: JavaScript is done with its lines.
    pub async fn until_empty(&self) {
        let _ = self.own.acquire_many(permits(RUN_ROOM_BYTES)).await;
    }
}

/// The room that a text takes up until JavaScript is done with it. Dropping it releases the room.
pub struct Room {
    own: OwnedSemaphorePermit,
    shared: Option<OwnedSemaphorePermit>,
    /// Of a run that outlives its host.
    told: Option<Told>,
}

/// Is told of lines that JavaScript is done with.
pub type CountTold = Arc<dyn Fn(usize) + Send + Sync>;

struct Told {
    count: CountTold,
    lines: usize,
}

impl Drop for Told {
    fn drop(&mut self) {
        (self.count)(self.lines);
    }
}

impl Room {
    /// So many of its lines came with their ends: they are counted when JavaScript is done with
    /// them.
    pub fn tell(&mut self, count: CountTold, lines: usize) {
        self.told = Some(Told { count, lines });
    }

    /// Splits off the room for this charge and so many lines, or all that is left.
    pub fn split(&mut self, charge: usize, lines: usize) -> Room {
        let told = self.told.as_mut().map(|told| {
            let lines = lines.min(told.lines);
            told.lines -= lines;
            Told { count: told.count.clone(), lines }
        });
        let split = |permit: &mut OwnedSemaphorePermit| {
            let part = permit.split(charge.min(permit.num_permits()));
            part.expect("no more than there is")
        };
        Room { own: split(&mut self.own), shared: self.shared.as_mut().map(split), told }
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

    /// Whether the future is pending at its first poll.
    fn is_waiting<T>(future: impl Future<Output = T>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[test]
    fn room_is_released_when_its_text_is_dropped() {
        let room = SharedRoom::new().room_for_run();
        let mut held = block_on(room.reserve(RUN_ROOM_BYTES)).unwrap();
        assert!(is_waiting(room.reserve(1)), "the run's room is full");
        let part = held.split(100, 1);
        drop(part);
        assert!(!is_waiting(room.reserve(100)));
        assert!(is_waiting(room.reserve(101)));
        assert!(is_waiting(room.until_empty()), "some of it is still held");
        drop(held);
        assert!(!is_waiting(room.until_empty()));
    }

    #[test]
    fn a_quiet_run_has_room_while_noisy_ones_fill_the_shared_room() {
        let shared = SharedRoom::new();
        let noisy: Vec<LogRoom> =
            (0..=SHARED_ROOM_BYTES / RUN_ROOM_BYTES).map(|_| shared.room_for_run()).collect();
        let (last, others) = noisy.split_last().unwrap();
        let held: Vec<Room> =
            others.iter().map(|room| block_on(room.reserve(RUN_ROOM_BYTES)).unwrap()).collect();
        assert!(is_waiting(last.reserve(RUN_ROOM_BYTES)), "the shared room is full");
        let quiet = shared.room_for_run();
        let first = block_on(quiet.reserve(UNSHARED_BYTES)).unwrap();
        assert!(is_waiting(quiet.reserve(1)), "it is as noisy as the others by now");
        drop(first);
        assert!(!is_waiting(quiet.reserve(UNSHARED_BYTES)));
        drop(held);
        assert!(!is_waiting(last.reserve(RUN_ROOM_BYTES)));
    }

    #[test]
    fn no_room_is_reserved_once_javascript_is_gone() {
        let shared = SharedRoom::new();
        let room = shared.room_for_run();
        shared.close();
        assert!(block_on(room.reserve(1)).is_none());
        assert!(block_on(room.reserve(RUN_ROOM_BYTES)).is_none());
    }
}
