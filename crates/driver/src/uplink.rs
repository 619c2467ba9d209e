//! The uplink: the one queue of records for JavaScript, so that all of them have one order.
//!
//! A thread that adds a record rings the bell once; JavaScript then takes batches until the queue
//! is empty. Log text is the only kind of unlimited amount, so it needs room first (see
//! [`LogRoom`]): when a tenant has no room left, its pipe is not read. This tenant blocks at its
//! next write, and no other does.
//!
//! No tenant waits for another one's lines if they are handled slowly. Lines that JavaScript had
//! no time for in one turn, or in one batch, are overtaken in the next by everything that is not
//! output, and tenants take turns with their lines ([`lines`]). The pool hears of a run's exit
//! only after JavaScript is done with its lines (`supervision.rs`), so no record in the queue has
//! to wait for lines.

mod lines;
mod log_room;
mod records;
pub mod wire;

use crate::board::Board;
use crate::leases::LeaseAddress;
use lines::{LineQueue, Portion};
use log_room::{Room, SharedRoom};
use pool::RunId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use lines::Text;
pub use log_room::{CountTold, LogRoom, charge};
pub use records::{RECORD_NUMBERS, Record, Stream, write_records, write_statuses};

/// The most records of a batch: few enough that handling them does not block the event loop for
/// long.
pub const BATCH_RECORDS: usize = 512;
/// A batch ends with the lines that bring its [`charge`] to this, so that no record waits behind
/// many lines that may be handled slowly. With less, a batch for each line of many quiet tenants
/// would cost more than the line.
const BATCH_LOG_CHARGE: usize = 4 << 10;
/// The most starts of a batch: each holds a port. JavaScript lets the functions of so many starts
/// run before it takes more (`lib/bridge/inbox.js`).
pub const BATCH_STARTS: usize = 64;
/// The most lines of one text.
pub const MOST_LINES: usize = 1 << 10;

#[derive(Default)]
struct Queue {
    /// All records but log text, each with its number in the order of arrival.
    records: VecDeque<(u64, Record)>,
    lines: LineQueue,
    /// The number of the latest record or text.
    arrived: u64,
    /// Lines up to this number were queued when the batch before was made: other records overtake
    /// them.
    overdue_up_to: u64,
    /// The room of the log text in the batch that JavaScript has.
    rooms_in_batch: Vec<Room>,
    portion: Portion,
    /// The leases of the runs whose release is in that batch.
    leases_in_batch: Vec<LeaseAddress>,
    /// The bell was rung for the records in the queue. Never true for an empty queue: JavaScript
    /// does not take a batch when the board shows no records, so the next record would never be
    /// rung for.
    rung: bool,
    closed: bool,
}

type Bell = Arc<dyn Fn() + Send + Sync>;

/// The queue of records for JavaScript: see the module.
///
/// Dropping it drops what is queued. [`close`](Self::close) does the same, wakes all that wait for
/// room, and releases `ring`; records that are added later are dropped. A panic in `ring` leaves
/// the queue as it stands.
pub struct Uplink {
    queue: Mutex<Queue>,
    /// `None` once closed.
    ring: Mutex<Option<Bell>>,
    board: Arc<Board>,
    log_room: SharedRoom,
    /// How many batches JavaScript has taken.
    turns: AtomicU64,
}

impl Uplink {
    /// `ring` must make JavaScript call [`take`](Self::take) soon; it may be called on any thread.
    pub fn new(board: Arc<Board>, ring: impl Fn() + Send + Sync + 'static) -> Uplink {
        Uplink {
            queue: Mutex::default(),
            ring: Mutex::new(Some(Arc::new(ring))),
            board,
            log_room: SharedRoom::new(),
            turns: AtomicU64::new(0),
        }
    }

    /// Queues a record, without a ring.
    pub fn push(&self, record: Record) {
        let mut queue = self.lock();
        if !queue.closed {
            let number = queue.next_number();
            queue.records.push_back((number, record));
            self.board.show_queued(queue.len());
        }
    }

    /// Queues log text of a run, of at most [`MOST_LINES`], and rings.
    pub fn push_log(&self, run: RunId, text: Text) {
        let mut queue = self.lock();
        if !queue.closed {
            let number = queue.next_number();
            queue.lines.push(number, run, text);
            self.board.show_queued(queue.len());
        }
        drop(queue);
        self.ring();
    }

    /// Lets the lines of a run that is over come sooner, since its exit waits for them.
    pub fn prioritize_log(&self, run: RunId) {
        self.lock().lines.prioritize(run);
    }

    /// Drops the log text of a run that JavaScript has not taken. Returns how many lines that
    /// were. Called at the end of each run, too, so that its entry is freed.
    pub fn remove_log(&self, run: RunId) -> usize {
        let mut queue = self.lock();
        let lines = queue.lines.remove(run);
        queue.rung &= queue.len() > 0;
        self.board.show_queued(queue.len());
        lines
    }

    /// Rings, unless JavaScript has been rung for already, or the queue is empty.
    pub fn ring(&self) {
        let mut queue = self.lock();
        if queue.len() == 0 || std::mem::replace(&mut queue.rung, true) {
            return;
        }
        drop(queue);
        let bell = self.ring.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(ring) = bell {
            ring();
        }
    }

    /// Takes the next batch, which is empty if the queue is.
    ///
    /// To take it says that JavaScript is done with the batch before: its room is released, and
    /// the leases of the runs that were released in it are returned to be recycled. With
    /// `has_lines` JavaScript still has lines of the batch before: their room stays, and this
    /// batch has no lines.
    pub fn take(&self, has_lines: bool) -> (Vec<Record>, Vec<LeaseAddress>) {
        let mut queue = self.lock();
        queue.rung = false;
        self.turns.fetch_add(1, Ordering::Relaxed);
        if has_lines {
            queue.portion.mark_unfinished();
        } else {
            queue.rooms_in_batch.clear();
            queue.portion.begin_next();
        }
        let recycled = std::mem::take(&mut queue.leases_in_batch);
        let mut batch = Vec::new();
        let (mut log_charge, mut starts) = (0, 0);
        while batch.len() < BATCH_RECORDS
            && log_charge < BATCH_LOG_CHARGE
            && (has_lines || queue.portion.left() > 0)
            && starts < BATCH_STARTS
        {
            let Some((record, cost)) = queue.next(has_lines) else { break };
            log_charge += cost;
            match &record {
                Record::Prepare { .. } | Record::RestoreImage { .. } => starts += 1,
                Record::Release { lease, .. } => queue.leases_in_batch.extend(*lease),
                _ => {}
            }
            batch.push(record);
        }
        queue.overdue_up_to = queue.arrived;
        self.board.show_queued(queue.len());
        (batch, recycled)
    }

    /// Ends the queue because JavaScript is gone. Records that are added later are dropped.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.records.clear();
        queue.lines = LineQueue::default();
        queue.rooms_in_batch.clear();
        self.board.show_queued(0);
        drop(queue);
        self.log_room.close();
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The room of one run's log text.
    pub fn log_room(&self) -> LogRoom {
        self.log_room.room_for_run()
    }

    /// How many batches JavaScript has taken. Grows, too, while it handles slow lines, in between
    /// which it takes batches without lines.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.records.len() + self.lines.len()
    }

    fn next_number(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// The next record, and its [`charge`] if it is log text. Records come in the order of
    /// arrival, with two exceptions: tenants take turns with their lines, and all other records
    /// overtake the lines that JavaScript still has, and those that were left by the batch before.
    fn next(&mut self, has_lines: bool) -> Option<(Record, usize)> {
        let lines_number =
            self.lines.next_number().filter(|number| !has_lines && *number > self.overdue_up_to);
        let comes_first = |number| lines_number.is_none_or(|lines_number| number < lines_number);
        if self.records.front().is_some_and(|(number, _)| comes_first(*number)) {
            return self.records.pop_front().map(|(_, record)| (record, 0));
        }
        if has_lines {
            return None;
        }
        let (record, cost, room) = self.lines.pop(&mut self.portion)?;
        self.rooms_in_batch.push(room);
        Some((record, cost))
    }
}

#[cfg(test)]
mod tests;
