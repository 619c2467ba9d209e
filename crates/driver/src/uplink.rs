//! The one way up: everything that reaches JavaScript goes through this queue, so there is one order for all of it.
//!
//! Whoever adds a record from another thread rings the bell once; JavaScript then takes batches until the queue is
//! empty. Log text is the only thing that can come in any amount, so it needs room first (see [`LogRoom`]): when a
//! tenant has no room left, its pipe is not read, and the tenant waits at its own output while nobody else does.
//!
//! Nor does anybody wait for another tenant's lines where they are slow to be handled. What JavaScript has no time for in
//! one turn, or in one batch, is overtaken in the next by everything that is not output, and tenants take turns with
//! their lines ([`lines`]). A run's exit is not even told to the pool before JavaScript is done with its lines
//! (`supervision.rs`), so no record in here ever waits for lines.

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
pub use log_room::{LogRoom, charge};
pub use records::{RECORD_NUMBERS, Record, Stream, write_records, write_statuses};

/// What a batch holds at most. Small enough that handling it does not hold the event loop for long.
pub const BATCH_RECORDS: usize = 512;
/// With lines that cost so much a batch ends, so that nothing is behind lines that may be slow to be handled. Not with
/// less: a call for each line of many quiet tenants would cost more than the line.
const BATCH_LOG_CHARGE: usize = 4 << 10;
/// Starts that JavaScript has in hand at once: each holds a port. After so many it lets their functions run first, see
/// `lib/bridge/inbox.js`.
pub const BATCH_STARTS: usize = 64;
/// Lines that one text may have.
pub const MOST_LINES: usize = 1 << 10;

#[derive(Default)]
struct Queue {
    /// All but log text, each with its number in the order of arrival.
    records: VecDeque<(u64, Record)>,
    lines: LineQueue,
    arrived: u64,
    /// Up to this number, lines were there already when the batch before was made.
    left_behind: u64,
    /// The room of the log text that JavaScript is working on.
    in_work: Vec<Room>,
    portion: Portion,
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
    log_room: SharedRoom,
    /// How often JavaScript has come.
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

    pub fn push(&self, record: Record) {
        let mut queue = self.lock();
        if !queue.closed {
            let number = queue.next_number();
            queue.records.push_back((number, record));
            self.board.show_queued(queue.len());
        }
    }

    /// Log text of a run, of [`MOST_LINES`] at most.
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

    /// A run is over, and its exit waits for its lines: they come sooner.
    pub fn hurry_log(&self, run: RunId) {
        self.lock().lines.hurry(run);
    }

    /// Drops what JavaScript has not been given of a run's log text. Returns how many lines that were. To be called with
    /// the end of each run, too.
    pub fn remove_log(&self, run: RunId) -> usize {
        let mut queue = self.lock();
        let lines = queue.lines.remove(run);
        queue.rung &= queue.len() > 0;
        self.board.show_queued(queue.len());
        lines
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
        self.turns.fetch_add(1, Ordering::Relaxed);
        if has_lines {
            queue.portion.goes_on();
        } else {
            queue.in_work.clear();
            queue.portion.next();
        }
        let recycled = std::mem::take(&mut queue.leases_in_work);
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
                Record::Release { lease, .. } => queue.leases_in_work.extend(*lease),
                _ => {}
            }
            batch.push(record);
        }
        queue.left_behind = queue.arrived;
        self.board.show_queued(queue.len());
        (batch, recycled)
    }

    /// JavaScript is gone: whatever is added from now on goes nowhere.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.records.clear();
        queue.lines = LineQueue::default();
        queue.in_work.clear();
        self.board.show_queued(0);
        drop(queue);
        self.log_room.close();
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Room for the log text of one run.
    pub fn log_room(&self) -> LogRoom {
        self.log_room.of_run()
    }

    /// Grows each time that JavaScript takes something, also in the middle of lines that are slow to be handled.
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

    /// What is next, and what it costs if it is log text: in the order of arrival, but that tenants take turns with their
    /// lines, and that everything else overtakes the lines that JavaScript still has, and those that it was behind with.
    fn next(&mut self, has_lines: bool) -> Option<(Record, usize)> {
        let lines_number = self.lines.next_number().filter(|number| !has_lines && *number > self.left_behind);
        let comes_first = |number| lines_number.is_none_or(|lines_number| number < lines_number);
        if self.records.front().is_some_and(|(number, _)| comes_first(*number)) {
            return self.records.pop_front().map(|(_, record)| (record, 0));
        }
        if has_lines {
            return None;
        }
        let (record, cost, room) = self.lines.pop(&mut self.portion)?;
        self.in_work.push(room);
        Some((record, cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pool::ExitReason;
    use std::sync::mpsc;
    use std::time::Duration;

    /// More than fit into a batch as long as nothing is known of how slow lines are.
    const FEW_LINES: usize = 64;

    /// As JavaScript does it: comes when it is rung, or by itself, and leaves when the board says that nothing waits.
    fn consume(uplink: &Uplink, board: &Board) -> usize {
        let mut taken = 0;
        while board.queued() > 0 {
            taken += uplink.take(false).0.len();
        }
        taken
    }

    /// So many lines of `x` from a run.
    fn push_lines(uplink: &Uplink, run: u64, lines: usize) {
        push_text(uplink, run, &vec!["x"; lines].join("\n"), lines);
    }

    fn push_text(uplink: &Uplink, run: u64, text: &str, lines: usize) {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let room = tokio.block_on(uplink.log_room().reserve(charge(text.len(), lines))).unwrap();
        let text = Text { stream: Stream::Stdout, at_ms: 0, text: text.to_owned(), lines, room };
        uplink.push_log(RunId(run), text);
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
        push_lines(&uplink, 1, 1);
        exit(&uplink, 2);
        push_lines(&uplink, 3, 1);
        assert_eq!(taken(&uplink, false), ["d", "l1", "x2", "l3"]);
        assert!(taken(&uplink, false).is_empty());
    }

    #[test]
    fn a_batch_ends_with_much_text_or_many_lines() {
        for (text, lines) in [("a".repeat(BATCH_LOG_CHARGE), 1), ("\n".repeat(FEW_LINES - 1), FEW_LINES)] {
            let uplink = uplink();
            push_text(&uplink, 1, &text, lines);
            uplink.push(Record::Drain);
            assert_eq!(taken(&uplink, false), ["l1"]);
            assert_eq!(taken(&uplink, false), ["d"]);
        }
    }

    #[test]
    fn lines_that_are_left_are_overtaken_by_all_but_lines() {
        let uplink = uplink();
        push_lines(&uplink, 1, FEW_LINES);
        push_lines(&uplink, 2, 1);
        uplink.push(Record::Drain);
        exit(&uplink, 3);
        assert_eq!(taken(&uplink, false), ["l1"]);
        assert_eq!(taken(&uplink, true), ["d", "x3"]);
        assert!(taken(&uplink, true).is_empty());
        assert_eq!(taken(&uplink, false), ["l2"]);
    }

    #[test]
    fn lines_that_a_batch_has_left_behind_are_overtaken_by_all_but_lines() {
        let uplink = uplink();
        push_lines(&uplink, 1, FEW_LINES);
        push_lines(&uplink, 2, FEW_LINES);
        assert_eq!(taken(&uplink, false), ["l1"]);
        uplink.push(Record::Drain);
        push_lines(&uplink, 3, 1);
        assert_eq!(taken(&uplink, false)[0], "d");
    }

    #[test]
    fn tenants_take_turns_and_one_with_few_lines_is_next() {
        let uplink = uplink();
        for _ in 0..3 {
            push_lines(&uplink, 1, MOST_LINES);
            push_lines(&uplink, 2, MOST_LINES);
        }
        let turns: Vec<_> = (0..4).map(|_| taken(&uplink, false).concat()).collect();
        assert_eq!(turns, ["l1", "l2", "l1", "l2"]);
        for _ in 0..2 {
            push_lines(&uplink, 3, 3);
            assert_eq!(taken(&uplink, false)[0], "l3", "who has written little does not wait");
        }
    }

    #[test]
    fn who_was_quiet_has_not_saved_up_all_the_time_in_which_it_was() {
        let uplink = uplink();
        for run in [1, 2].repeat(20) {
            push_lines(&uplink, run, MOST_LINES);
            assert_eq!(taken(&uplink, false).len(), 1);
        }
        for run in [1, 2, 3].repeat(4) {
            push_lines(&uplink, run, MOST_LINES);
        }
        let turns: Vec<_> = (0..9).map(|_| taken(&uplink, false).concat()).collect();
        let of_quiet = turns.iter().filter(|turn| *turn == "l3").count();
        assert!(turns[0] == "l3" && of_quiet <= 4, "{turns:?}");
    }

    #[test]
    fn the_lines_of_a_run_that_is_over_come_sooner_than_those_of_others() {
        let uplink = uplink();
        for _ in 0..10 {
            push_lines(&uplink, 1, FEW_LINES);
            push_lines(&uplink, 2, FEW_LINES);
        }
        uplink.hurry_log(RunId(2));
        let turns: String = (0..12).map(|_| taken(&uplink, false).concat()).collect();
        assert!(turns.starts_with(&format!("l1{}", "l2".repeat(10))), "{turns}");
    }

    #[test]
    fn lines_that_are_slow_to_be_handled_come_in_smaller_and_smaller_portions() {
        let uplink = uplink();
        for _ in 0..4 {
            push_lines(&uplink, 1, MOST_LINES);
        }
        let lines = || -> usize {
            let texts = uplink.take(false).0.into_iter().map(|record| match record {
                Record::Log { text, .. } => text.split('\n').count(),
                other => panic!("{other:?}"),
            });
            texts.sum()
        };
        let first = lines();
        assert!(first < MOST_LINES / 2);
        assert_eq!(lines(), 2 * first, "there was time for more");
        uplink.take(true);
        assert_eq!(lines(), 2 * first, "the end of a turn can come within any text");
        for _ in 0..20 {
            uplink.take(true);
        }
        assert_eq!(lines(), 1);
        let rest: usize = (0..20).map(|_| lines()).sum();
        assert_eq!(rest, 4 * MOST_LINES - 5 * first - 1);
    }

    #[test]
    fn few_lines_do_not_say_how_fast_they_are_handled() {
        let uplink = uplink();
        let before = uplink.lock().portion.left();
        for _ in 0..10 {
            push_lines(&uplink, 1, 1);
            uplink.take(false);
        }
        uplink.take(false);
        assert_eq!(uplink.lock().portion.left(), before);
    }

    #[test]
    fn what_is_dropped_of_a_run_is_counted_and_its_room_given_back() {
        let uplink = uplink();
        let (of_run, of_other) = (uplink.log_room(), uplink.log_room());
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let push = |room: &LogRoom, run| {
            let text = "\n".repeat(MOST_LINES - 1);
            let room = tokio.block_on(room.reserve(charge(text.len(), MOST_LINES))).unwrap();
            let text = Text { stream: Stream::Stdout, at_ms: 0, text, lines: MOST_LINES, room };
            uplink.push_log(RunId(run), text);
        };
        push(&of_run, 1);
        push(&of_run, 1);
        push(&of_other, 2);
        let given = uplink.lock().portion.left();
        assert_eq!(taken(&uplink, false), ["l1"]);
        assert_eq!(uplink.remove_log(RunId(1)), 2 * MOST_LINES - given);
        let emptied = || {
            tokio.block_on(async {
                tokio::select! { biased; () = of_run.emptied() => true, () = std::future::ready(()) => false }
            })
        };
        assert!(!emptied(), "JavaScript has the beginning of a text");
        assert_eq!(taken(&uplink, false), ["l2"]);
        assert!(emptied());
        assert_eq!(uplink.remove_log(RunId(1)), 0);
    }

    #[test]
    fn a_record_added_to_a_queue_that_was_emptied_by_dropping_lines_is_rung_for() {
        let (rings, heard) = mpsc::channel();
        let uplink = Uplink::new(Arc::default(), move || rings.send(()).unwrap());
        push_lines(&uplink, 1, 1);
        assert!(heard.try_recv().is_ok());
        // JavaScript finds nothing to take.
        assert_eq!(uplink.remove_log(RunId(1)), 1);
        uplink.push(Record::Drain);
        uplink.ring();
        assert!(heard.try_recv().is_ok());
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
