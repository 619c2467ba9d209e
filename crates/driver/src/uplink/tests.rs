use super::*;
use pool::ExitReason;
use std::sync::mpsc;
use std::time::Duration;

/// As many lines as the first portion has.
const FEW_LINES: usize = 64;

/// Takes batches as JavaScript does, until the board shows that no records wait. Returns how many
/// records there were.
fn consume(uplink: &Uplink, board: &Board) -> usize {
    let mut taken = 0;
    while board.queued() > 0 {
        taken += uplink.take(false).0.len();
    }
    taken
}

/// Queues a text of so many lines `x`.
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
        out_of_memory: None,
    });
}

/// The next batch: `l1` stands for lines of run 1, `x1` for its exit, `d` for any other record.
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
    for (text, lines) in
        [("a".repeat(BATCH_LOG_CHARGE), 1), ("\n".repeat(FEW_LINES - 1), FEW_LINES)]
    {
        let uplink = uplink();
        push_text(&uplink, 1, &text, lines);
        uplink.push(Record::Drain);
        assert_eq!(taken(&uplink, false), ["l1"]);
        assert_eq!(taken(&uplink, false), ["d"]);
    }
}

#[test]
fn lines_that_javascript_still_has_are_overtaken_by_other_records() {
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
fn lines_that_the_batch_before_has_left_are_overtaken_by_other_records() {
    let uplink = uplink();
    push_lines(&uplink, 1, FEW_LINES);
    push_lines(&uplink, 2, FEW_LINES);
    assert_eq!(taken(&uplink, false), ["l1"]);
    uplink.push(Record::Drain);
    push_lines(&uplink, 3, 1);
    assert_eq!(taken(&uplink, false)[0], "d");
}

#[test]
fn runs_take_turns_and_one_with_few_lines_is_next() {
    let uplink = uplink();
    for _ in 0..3 {
        push_lines(&uplink, 1, MOST_LINES);
        push_lines(&uplink, 2, MOST_LINES);
    }
    let turns: Vec<_> = (0..4).map(|_| taken(&uplink, false).concat()).collect();
    assert_eq!(turns, ["l1", "l2", "l1", "l2"]);
    for _ in 0..2 {
        push_lines(&uplink, 3, 3);
        assert_eq!(taken(&uplink, false)[0], "l3", "a run that has written little does not wait");
    }
}

#[test]
fn a_quiet_run_gets_no_more_than_its_credit() {
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
    uplink.prioritize_log(RunId(2));
    let turns: String = (0..12).map(|_| taken(&uplink, false).concat()).collect();
    assert!(turns.starts_with(&format!("l1{}", "l2".repeat(10))), "{turns}");
}

#[test]
fn portions_shrink_while_lines_are_handled_slowly() {
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
fn a_portion_that_was_not_used_up_does_not_grow() {
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
fn dropped_lines_are_counted_and_their_room_is_released() {
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
    let is_empty = || {
        tokio.block_on(async {
            tokio::select! { biased; () = of_run.until_empty() => true, () = std::future::ready(()) => false }
        })
    };
    assert!(!is_empty(), "JavaScript has the beginning of a text");
    assert_eq!(taken(&uplink, false), ["l2"]);
    assert!(is_empty());
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
        rung.unwrap_or_else(|_| panic!("no ring for {} records", RECORDS - taken));
        taken += consume(&uplink, &board);
        // A call of the host also takes what is queued.
        taken += consume(&uplink, &board);
    }
    adding.join().unwrap();
}
