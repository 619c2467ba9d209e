//! The one way up: everything that reaches JavaScript goes through this queue, so there is one order for all of it.
//!
//! Whoever adds a record from another thread rings the bell once; JavaScript then takes batches until the queue is
//! empty. Log text is the only thing that can come in any amount, so it needs room first (see [`LogRoom`]): when a
//! tenant has no room left, its pipe is not read, and the tenant waits at its own output while nobody else does.

use crate::board::Board;
use crate::leases::LeaseAddress;
use crate::os::logs::Stream;
use pool::{CallId, ExitReason, Failure, Key, Outcome, RunId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Log text of all tenants on its way to JavaScript.
const LOG_ROOM_BYTES: usize = 8 << 20;
/// Log text of one tenant on its way, so that a noisy one leaves room for the others.
const LOG_ROOM_PER_RUN_BYTES: usize = 512 << 10;
/// What a batch holds at most. Small enough that handling it does not hold the event loop for long.
pub const BATCH_RECORDS: usize = 512;
const BATCH_LOG_BYTES: usize = 256 << 10;
/// Starts that JavaScript has in hand at once: each holds a port. After so many it lets their functions run first, see
/// `lib/inbox.js`.
const BATCH_STARTS: usize = 64;

/// One thing for JavaScript to do or to pass on.
#[derive(Debug)]
pub enum Record {
    /// Start a process for the run: call the user's `spawn`, or work out the environment and call `launch`. Port and
    /// time are filled in when JavaScript takes it.
    Prepare {
        run: RunId,
        key: Key,
        port: u16,
        started_at_ms: u64,
        /// Not from a snapshot.
        fresh: bool,
    },
    /// The process that this call handed over is the run.
    Adopted {
        run: RunId,
        call: CallId,
        key: Key,
    },
    /// Call the user's `readiness`.
    AskReadiness {
        run: RunId,
    },
    /// Call `kill` of the user's process.
    AskKill {
        run: RunId,
        force: bool,
    },
    /// Call the user's `shouldIdleKill`.
    AskIdle {
        run: RunId,
        idle_ms: u64,
    },
    /// Call `checkpoint` of the user's driver.
    Checkpoint {
        run: RunId,
    },
    Spawn {
        run: RunId,
        pid: u32,
        port: u16,
    },
    Adopt {
        run: RunId,
        lease: LeaseAddress,
    },
    Restored {
        run: RunId,
        pid: u32,
        port: u16,
        duration_ms: u64,
        lease: LeaseAddress,
    },
    Ready {
        run: RunId,
        duration_ms: u64,
        lease: LeaseAddress,
    },
    IdleKill {
        run: RunId,
        idle_ms: u64,
    },
    LruEvict {
        run: RunId,
    },
    Observation {
        run: RunId,
        cpu_ms: u64,
        rss_bytes: u64,
        at_ms: u64,
    },
    Exit {
        run: RunId,
        exit_code: Option<i32>,
        reason: ExitReason,
    },
    Backoff {
        key: Key,
        attempt: u64,
        retry_after_ms: u64,
    },
    Drain,
    /// One or more whole lines, without the last line's end.
    Log {
        run: RunId,
        stream: Stream,
        at_ms: u64,
        text: String,
    },
    /// A process that `dispose` could not end; the answer to the call follows.
    NotStopped {
        run: RunId,
        failure: Failure,
    },
    /// `output` are the last lines of a process that ended before it was ready.
    Settle {
        call: CallId,
        outcome: Outcome,
        output: String,
    },
    /// What was asked for under this number has been found out.
    Answer {
        ticket: u64,
        answer: Option<i32>,
    },
    /// Nothing will be heard of the run again.
    Release {
        run: RunId,
        lease: Option<LeaseAddress>,
    },
    /// Nothing is left of the runtime: answer these calls.
    Disposed {
        call: CallId,
    },
}

struct Entry {
    record: Record,
    room: Option<Room>,
}

/// Room that a log record takes up until JavaScript is done with it.
pub struct Room {
    _of_run: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// The room of the batch that JavaScript is working on.
    in_work: Vec<Room>,
    /// The leases of runs whose end is in that batch.
    leases_in_work: Vec<LeaseAddress>,
    /// The bell was rung for what is in here. Never true for an empty queue: JavaScript does not answer a ring when
    /// there is nothing left to take, and whoever added the next record would take it to be on its way for ever.
    rung: bool,
    closed: bool,
}

type Bell = Arc<dyn Fn() + Send + Sync>;

/// See the module.
pub struct Uplink {
    queue: Mutex<Queue>,
    /// `None` once JavaScript is gone.
    ring: Mutex<Option<Bell>>,
    board: Arc<Board>,
    log_room: Arc<Semaphore>,
}

impl Uplink {
    /// `ring` must make JavaScript call [`take`](Self::take) soon; it may be called on any thread.
    pub fn new(board: Arc<Board>, ring: impl Fn() + Send + Sync + 'static) -> Uplink {
        Uplink {
            queue: Mutex::default(),
            ring: Mutex::new(Some(Arc::new(ring))),
            board,
            log_room: Arc::new(Semaphore::new(LOG_ROOM_BYTES)),
        }
    }

    pub fn push(&self, record: Record) {
        self.push_entry(Entry { record, room: None });
    }

    pub fn push_log(&self, record: Record, room: Room) {
        self.push_entry(Entry { record, room: Some(room) });
        self.ring();
    }

    fn push_entry(&self, entry: Entry) {
        let mut queue = self.lock();
        if !queue.closed {
            queue.entries.push_back(entry);
            self.board.show_queued(queue.entries.len());
        }
    }

    /// Rings, unless JavaScript is coming already or there is nothing for it.
    pub fn ring(&self) {
        let mut queue = self.lock();
        if queue.entries.is_empty() || std::mem::replace(&mut queue.rung, true) {
            return;
        }
        drop(queue);
        let bell = self.ring.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(ring) = bell {
            ring();
        }
    }

    /// The next batch, in order; empty when there is nothing. What the batch before took up is given back, its leases
    /// to the caller: asking for the next one means that the one before has been dealt with.
    pub fn take(&self) -> (Vec<Record>, Vec<LeaseAddress>) {
        let mut queue = self.lock();
        queue.rung = false;
        queue.in_work.clear();
        let recycled = std::mem::take(&mut queue.leases_in_work);
        let mut batch = Vec::new();
        let (mut log_bytes, mut starts) = (0, 0);
        while batch.len() < BATCH_RECORDS && log_bytes < BATCH_LOG_BYTES && starts < BATCH_STARTS {
            let Some(entry) = queue.entries.pop_front() else { break };
            match &entry.record {
                Record::Log { text, .. } => log_bytes += text.len(),
                Record::Prepare { .. } => starts += 1,
                Record::Release { lease, .. } => queue.leases_in_work.extend(*lease),
                _ => {}
            }
            queue.in_work.extend(entry.room);
            batch.push(entry.record);
        }
        self.board.show_queued(queue.entries.len());
        (batch, recycled)
    }

    /// JavaScript is gone: whatever is added from now on goes nowhere.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.entries.clear();
        queue.in_work.clear();
        self.board.show_queued(0);
        drop(queue);
        self.log_room.close();
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Room for the log text of one run.
    pub fn log_room(&self) -> LogRoom {
        LogRoom { of_run: Arc::new(Semaphore::new(LOG_ROOM_PER_RUN_BYTES)), of_all: self.log_room.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room that one run's log text has. Both semaphores serve in order of arrival, so no tenant starves.
#[derive(Clone)]
pub struct LogRoom {
    of_run: Arc<Semaphore>,
    of_all: Arc<Semaphore>,
}

impl LogRoom {
    /// Waits until there is room for `bytes`; `None` if JavaScript is gone.
    pub async fn reserve(&self, bytes: usize) -> Option<Room> {
        let bytes = bytes.clamp(1, LOG_ROOM_PER_RUN_BYTES) as u32;
        let of_run = self.of_run.clone().acquire_many_owned(bytes).await.ok()?;
        let of_all = self.of_all.clone().acquire_many_owned(bytes).await.ok()?;
        Some(Room { _of_run: of_run, _of_all: of_all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// As JavaScript does it: comes when it is rung, or by itself, and leaves when the board says that nothing waits.
    fn consume(uplink: &Uplink, board: &Board) -> usize {
        let mut taken = 0;
        while board.queued() > 0 {
            taken += uplink.take().0.len();
        }
        taken
    }

    #[test]
    fn a_record_added_while_the_queue_is_being_emptied_is_rung_for() {
        const RECORDS: usize = 200_000;
        let board: Arc<Board> = Arc::default();
        let (rings, heard) = mpsc::channel();
        let uplink = Arc::new(Uplink::new(board.clone(), move || rings.send(()).unwrap()));
        let producer = uplink.clone();
        let adding = std::thread::spawn(move || {
            for _ in 0..RECORDS {
                producer.push(Record::Drain);
                producer.ring();
            }
        });
        let mut taken = 0;
        while taken < RECORDS {
            let rung = heard.recv_timeout(Duration::from_secs(20));
            rung.unwrap_or_else(|_| panic!("nobody rang for {} records", RECORDS - taken));
            taken += consume(&uplink, &board);
            // A call of the host's also looks whether there is something.
            taken += consume(&uplink, &board);
        }
        adding.join().unwrap();
    }
}
