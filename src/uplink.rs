//! The one way up: everything that reaches JavaScript goes through this queue, so there is one order for all of it.
//!
//! Whoever adds a record from another thread rings the bell once; JavaScript then takes batches until the queue is
//! empty. Log text is the only thing that can come in any amount, so it needs room first (see [`LogRoom`]): when a
//! tenant has no room left, its pipe is not read, and the tenant waits at its own output while nobody else does.
//!
//! Nor does anybody wait for another tenant's lines where they are slow to be handled: what JavaScript has no time for in
//! one turn is overtaken in the next by everything that is not output. Only a run's exit never overtakes its own lines;
//! they come before those of others then, and what happened after the exit waits for it.

use crate::board::Board;
use crate::leases::LeaseAddress;
use crate::os::logs::Stream;
use pool::{CallId, ExitReason, Failure, Key, Outcome, RunId, RunMap};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Log text of all tenants on its way to JavaScript.
const LOG_ROOM_BYTES: usize = 8 << 20;
/// Log text of one tenant on its way, so that a noisy one leaves room for the others.
const LOG_ROOM_PER_RUN_BYTES: usize = 512 << 10;
/// What a batch holds at most. Small enough that handling it does not hold the event loop for long.
pub const BATCH_RECORDS: usize = 512;
/// With so much log text a batch ends, so that nothing is behind lines that may be slow to be handled. Not with less: a
/// call for each line of many quiet tenants would cost more than the line.
const BATCH_LOG_BYTES: usize = 2 << 10;
/// What a line takes up besides its text: short lines are as much work as others.
const LINE_BYTES: usize = 64;
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
        signal: Option<i32>,
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

/// Log text, in the order of arrival among all records.
struct Lines {
    number: u64,
    run: RunId,
    record: Record,
    room: Room,
}

/// Room that a log record takes up until JavaScript is done with it.
pub struct Room {
    _of_run: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Queue {
    /// All but log text, each with its number in the order of arrival.
    records: VecDeque<(u64, Record)>,
    lines: VecDeque<Lines>,
    /// How many of `lines` are of a run.
    lines_of: RunMap<usize>,
    arrived: u64,
    /// The room of the log text that JavaScript is working on, and whose it is.
    in_work: Vec<(RunId, Room)>,
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
        let mut queue = self.lock();
        if !queue.closed {
            let number = queue.next_number();
            queue.records.push_back((number, record));
            self.board.show_queued(queue.len());
        }
    }

    /// Log text of a run, and the room that it takes up.
    pub fn push_log(&self, run: RunId, record: Record, room: Room) {
        let mut queue = self.lock();
        if !queue.closed {
            let number = queue.next_number();
            queue.lines.push_back(Lines { number, run, record, room });
            *queue.lines_of.entry(run).or_default() += 1;
            self.board.show_queued(queue.len());
        }
        drop(queue);
        self.ring();
    }

    /// Rings, unless JavaScript is coming already or there is nothing for it.
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

    /// The next batch; empty when there is nothing. What the batch before took up is given back, its leases to the
    /// caller: asking for the next one means that the one before has been dealt with, but for log text if `has_lines` is
    /// left of it. Then there is none in this one.
    pub fn take(&self, has_lines: bool) -> (Vec<Record>, Vec<LeaseAddress>) {
        let mut queue = self.lock();
        queue.rung = false;
        if !has_lines {
            queue.in_work.clear();
        }
        let recycled = std::mem::take(&mut queue.leases_in_work);
        let mut batch = Vec::new();
        let (mut log_bytes, mut starts) = (0, 0);
        while batch.len() < BATCH_RECORDS && log_bytes < BATCH_LOG_BYTES && starts < BATCH_STARTS {
            let Some(record) = queue.next(has_lines) else { break };
            match &record {
                Record::Log { text, .. } => log_bytes += text.len(),
                Record::Prepare { .. } => starts += 1,
                Record::Release { lease, .. } => queue.leases_in_work.extend(*lease),
                _ => {}
            }
            batch.push(record);
        }
        self.board.show_queued(queue.len());
        (batch, recycled)
    }

    /// JavaScript is gone: whatever is added from now on goes nowhere.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.records.clear();
        queue.lines.clear();
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

impl Queue {
    fn len(&self) -> usize {
        self.records.len() + self.lines.len()
    }

    /// From 2 on: see [`bring_forward`](Self::bring_forward).
    fn next_number(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived + 1
    }

    /// In the order of arrival; or what overtakes the lines that JavaScript still has.
    fn next(&mut self, has_lines: bool) -> Option<Record> {
        let exit = self.records.front().and_then(|(_, record)| match record {
            Record::Exit { run, .. } => Some(*run),
            _ => None,
        });
        if let Some(run) = exit.filter(|run| self.lines_of.contains_key(run))
            && self.lines.front().is_some_and(|lines| lines.number > 0)
        {
            self.bring_forward(run);
        }
        let oldest_lines = self.lines.front().map_or(u64::MAX, |lines| lines.number);
        let comes_next = match self.records.front() {
            None => false,
            Some(_) if has_lines => {
                exit.is_none_or(|run| !self.lines_of.contains_key(&run) && !self.is_in_work(run))
            }
            Some((number, _)) => *number < oldest_lines,
        };
        if comes_next {
            self.records.pop_front().map(|(_, record)| record)
        } else if has_lines {
            None
        } else {
            self.next_lines()
        }
    }

    fn is_in_work(&self, run: RunId) -> bool {
        self.in_work.iter().any(|(of, _)| *of == run)
    }

    fn next_lines(&mut self) -> Option<Record> {
        let Lines { run, record, room, .. } = self.lines.pop_front()?;
        if let Some(left) = self.lines_of.get_mut(&run) {
            *left -= 1;
            if *left == 0 {
                self.lines_of.remove(&run);
            }
        }
        self.in_work.push((run, room));
        Some(record)
    }

    /// What is next is the exit of a run: its lines, and then itself, come before the lines of others.
    fn bring_forward(&mut self, run: RunId) {
        let (mut of_run, of_others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.lines).into_iter().partition(|lines| lines.run == run);
        of_run.iter_mut().for_each(|lines| lines.number = 0);
        self.lines = of_run;
        self.lines.extend(of_others);
        if let Some((number, _)) = self.records.front_mut() {
            *number = 1;
        }
    }
}

/// The room that one run's log text has. Both semaphores serve in order of arrival, so no tenant starves.
#[derive(Clone)]
pub struct LogRoom {
    of_run: Arc<Semaphore>,
    of_all: Arc<Semaphore>,
}

impl LogRoom {
    /// Waits until there is room for the text; `None` if JavaScript is gone.
    pub async fn reserve(&self, text: &str) -> Option<Room> {
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1;
        let bytes = (text.len() + lines * LINE_BYTES).min(LOG_ROOM_PER_RUN_BYTES) as u32;
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
            taken += uplink.take(false).0.len();
        }
        taken
    }

    fn lines(uplink: &Uplink, run: u64, text: &str) {
        let record = Record::Log { run: RunId(run), stream: Stream::Stdout, at_ms: 0, text: text.into() };
        uplink.push_log(RunId(run), record, reserved(&uplink.log_room(), text));
    }

    fn reserved(room: &LogRoom, text: &str) -> Room {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio.block_on(room.reserve(text)).unwrap()
    }

    fn exit(uplink: &Uplink, run: u64) {
        uplink.push(Record::Exit {
            run: RunId(run),
            exit_code: None,
            signal: None,
            reason: ExitReason::Killed,
        });
    }

    /// `l1` for lines of run 1, `x1` for its exit, `d` for anything else.
    fn taken(uplink: &Uplink, has_lines: bool) -> Vec<String> {
        let name = |record: &Record| match record {
            Record::Log { run, .. } => format!("l{}", run.0),
            Record::Exit { run, .. } => format!("x{}", run.0),
            _ => "d".to_owned(),
        };
        uplink.take(has_lines).0.iter().map(name).collect()
    }

    fn uplink() -> Uplink {
        Uplink::new(Arc::default(), || ())
    }

    #[test]
    fn records_come_in_the_order_in_which_they_arrived() {
        let uplink = uplink();
        uplink.push(Record::Drain);
        lines(&uplink, 1, "a");
        exit(&uplink, 2);
        lines(&uplink, 3, "b");
        assert_eq!(taken(&uplink, false), ["d", "l1", "x2", "l3"]);
        assert!(taken(&uplink, false).is_empty());
    }

    #[test]
    fn a_batch_ends_with_much_text() {
        let uplink = uplink();
        lines(&uplink, 1, &"a".repeat(BATCH_LOG_BYTES));
        uplink.push(Record::Drain);
        assert_eq!(taken(&uplink, false), ["l1"]);
        assert_eq!(taken(&uplink, false), ["d"]);
    }

    #[test]
    fn lines_that_are_left_are_overtaken_by_all_but_lines() {
        let uplink = uplink();
        lines(&uplink, 1, &"a".repeat(BATCH_LOG_BYTES));
        lines(&uplink, 2, "b");
        uplink.push(Record::Drain);
        exit(&uplink, 3);
        assert_eq!(taken(&uplink, false), ["l1"]);
        assert_eq!(taken(&uplink, true), ["d", "x3"]);
        assert!(taken(&uplink, true).is_empty());
        assert_eq!(taken(&uplink, false), ["l2"]);
    }

    #[test]
    fn an_exit_never_overtakes_lines_of_its_own_run_nor_does_what_followed_it() {
        let uplink = uplink();
        lines(&uplink, 1, &"a".repeat(BATCH_LOG_BYTES));
        exit(&uplink, 1);
        uplink.push(Record::Drain);
        assert_eq!(taken(&uplink, false), ["l1"]);
        assert!(taken(&uplink, true).is_empty());
        assert_eq!(taken(&uplink, false), ["x1", "d"]);
    }

    #[test]
    fn the_lines_of_a_run_that_is_over_come_before_those_of_others() {
        let uplink = uplink();
        for run in [1, 2, 1, 3] {
            lines(&uplink, run, &"a".repeat(BATCH_LOG_BYTES));
        }
        lines(&uplink, 3, "b");
        assert_eq!(taken(&uplink, false), ["l1"]);
        exit(&uplink, 3);
        assert!(taken(&uplink, true).is_empty());
        assert_eq!(taken(&uplink, false), ["l3"]);
        assert_eq!(taken(&uplink, false), ["l3", "x3", "l2"]);
        assert_eq!(taken(&uplink, false), ["l1"]);
    }

    #[test]
    fn short_lines_take_up_room_as_others_do() {
        let room = uplink().log_room();
        let text = "\n".repeat(LOG_ROOM_PER_RUN_BYTES / (LINE_BYTES + 1) - 1);
        let held = reserved(&room, &text);
        assert!(room.of_run.available_permits() <= LINE_BYTES + 1);
        drop(held);
        assert_eq!(room.of_run.available_permits(), LOG_ROOM_PER_RUN_BYTES);
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
