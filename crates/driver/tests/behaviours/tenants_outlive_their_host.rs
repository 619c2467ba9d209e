//! What earlier hosts have left is told before any call is answered, and is left to the next host.

use crate::harness::{Harness, answer, config, name};
use driver::uplink::Record;
use linux::output::lines::Stream;
use linux::process::accounting::Usage;
use linux::warden_link::client::{Ended, Rest, Started};
use linux::warden_link::run::FoundOutput;
use linux::warden_link::surviving::{FoundMarks, FoundRun, NotRecovered, Notice, Recovery};
use linux::warden_link::{RecordFile, RunRecord};
use pool::{Exit, ExitReason, Input, Outcome, Refusal};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use warden::ring::{self, Piece};

const READY: FoundMarks = FoundMarks {
    is_ready: true,
    is_retired: false,
    stopping: None,
    asleep: None,
    has_ended: false,
};

/// A run that was found, and the sender of its end.
fn found(number: u64, key: &str, marks: FoundMarks) -> (FoundRun, oneshot::Sender<Ended>) {
    let record = RunRecord {
        key: key.into(),
        root: "/tenants".into(),
        port: 50_000 + number as u16,
        started_at_ms: 7,
        ..RunRecord::default()
    };
    let file = RecordFile::new(&record).unwrap();
    file.touched(1_700_000_000_000 + number);
    file.is_ready(3, 1_700_000_000_000, false);
    file.has_used(40 + number);
    let (record, known) = RecordFile::found(file.descriptor().unwrap()).unwrap();
    let started = Started { pid: 100 + number as u32, keeper_pid: u32::MAX, group: 0 };
    let (tell, ended) = oneshot::channel();
    let reader = || {
        let (reader, writer) = pipe();
        std::mem::forget(writer);
        reader
    };
    let output = FoundOutput {
        started,
        ended,
        rests: mpsc::unbounded_channel().1,
        stdout: reader(),
        stderr: reader(),
        begun: Vec::new(),
        written: Vec::new(),
        ring: File::open("/dev/null").unwrap().into(),
    };
    let (usage, lines_lost, port) = (None, 2, None);
    let found = FoundRun { number, started, record, known, usage, lines_lost, port, marks, output };
    (found, tell)
}

/// A pipe that does not block.
fn pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader, writer): (OwnedFd, OwnedFd) = (reader.into(), writer.into());
    linux::output::lines::unblocked(&reader).unwrap();
    (reader, writer)
}

fn recovery(runs: Vec<FoundRun>) -> Result<Recovery, NotRecovered> {
    Ok(Recovery { runs, listeners: Vec::new(), unowned_since_ms: 0 })
}

impl Harness {
    /// Answers what was found.
    async fn finds(&mut self, found: Result<Recovery, NotRecovered>) {
        self.run_tasks().await;
        assert!(self.warden.recovery.take().unwrap().send(found).is_ok());
        self.run_tasks().await;
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.machine.engine.told.lock().unwrap())
    }
}

#[tokio::test(flavor = "current_thread")]
async fn calls_wait_until_it_is_known_what_was_found_and_get_it() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let ensure = harness.ensure("a");
    harness.run_tasks().await;
    assert!(harness.record_names().is_empty(), "nothing is started meanwhile");
    let (run, _end) = found(9, "a", READY);
    harness.finds(recovery(vec![run])).await;
    let records = harness.records();
    assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Recover", "Settle", "Settle"]);
    let Record::Recover { run, key, pid, port, started_at_ms, cpu_ms, lines_lost, lease, .. } =
        &records[0]
    else {
        panic!("{records:?}");
    };
    assert_eq!((&**key, *pid, *port), ("a", 109, 50_009));
    assert_eq!((*started_at_ms, *cpu_ms, *lines_lost, lease.is_some()), (7, 49, 2, true));
    assert_eq!(answer(&records, ensure), Some(&Outcome::Tenant(*run)));
    assert_eq!(answer(&records, 1_000), Some(&Outcome::Done));
    let in_use = harness.driver.directory.acquire("a").unwrap();
    assert_eq!((in_use.port, in_use.run), (50_009, *run));
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_falls_asleep_for_the_host_before_is_woken() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (run, _end) = found(9, "a", READY);
    harness.finds(recovery(vec![run])).await;
    let run = harness.driver.directory.acquire("a").unwrap().run;
    let slept = Rest::Slept { depth: warden::Depth::Frozen, rss_bytes: 1 };
    harness.rested(run, slept).await;
    assert_eq!(harness.rests(), [(9, None)]);
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_run_uses_comes_with_it_and_is_not_read_again() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (run, _end) = found(9, "a", READY);
    let usage = Some(Usage { cpu_ms: 77, rss_bytes: 1, processes: 1 });
    harness.finds(recovery(vec![FoundRun { usage, ..run }])).await;
    let records = harness.records();
    let Record::Recover { cpu_ms, .. } = &records[0] else { panic!("{records:?}") };
    assert_eq!(*cpu_ms, 77, "and not what the host before has noted");
    // This look is for whoever has the same root.
    assert_eq!(harness.machine.engine.looks.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_found_before_anybody_asks_is_told_to_who_does() {
    let mut harness = Harness::surviving(config());
    harness.driver.begin_to_recover();
    let (run, _end) = found(9, "a", READY);
    harness.finds(recovery(vec![run])).await;
    harness.driver.recover(1_000);
    let records = harness.records();
    assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Recover", "Settle"]);
    assert_eq!(answer(&records, 1_000), Some(&Outcome::Done));
}

#[tokio::test(flavor = "current_thread")]
async fn who_asks_while_it_is_found_out_waits_and_nothing_is_asked_twice() {
    let mut harness = Harness::surviving(config());
    harness.driver.begin_to_recover();
    harness.run_tasks().await;
    harness.driver.recover(1_000);
    harness.run_tasks().await;
    assert!(harness.record_names().is_empty());
    assert_eq!(harness.machine.engine.recoveries.load(Ordering::Relaxed), 1);
    harness.finds(Err(NotRecovered::InUse { pid: 7 })).await;
    let refusal = Refusal::InUse { pid: 7, version: None };
    assert_eq!(answer(&harness.records(), 1_000), Some(&Outcome::Refused(refusal)));
}

#[tokio::test(flavor = "current_thread")]
async fn calls_that_were_aborted_meanwhile_are_not_answered() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let ensure = harness.ensure("a");
    assert!(harness.driver.abort("a".into(), ensure), "it waits");
    harness.finds(recovery(Vec::new())).await;
    let records = harness.records();
    assert_eq!(answer(&records, ensure), None);
    assert_eq!(answer(&records, 1_000), Some(&Outcome::Done));
}

#[tokio::test(flavor = "current_thread")]
async fn what_another_host_has_is_refused_by_its_pid() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let early = harness.ensure("a");
    harness.finds(Err(NotRecovered::InUse { pid: 7 })).await;
    let late = harness.ensure("a");
    let records = harness.records();
    for call in [1_000, early, late] {
        let refusal = Refusal::InUse { pid: 7, version: None };
        assert_eq!(answer(&records, call), Some(&Outcome::Refused(refusal)), "{call}");
    }
    let told = harness.driver.when_recovered().unwrap().await.unwrap();
    assert_eq!(told, Err(Refusal::InUse { pid: 7, version: None }), "gateways hear it, too");
}

#[tokio::test(flavor = "current_thread")]
async fn an_end_that_came_meanwhile_is_told_with_its_reason_and_kept_until_javascript_has_told_it()
{
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    // The fourth reason.
    let marks = FoundMarks { stopping: Some(4), has_ended: true, ..READY };
    let (run, end) = found(9, "a", marks);
    let ended =
        Ended { exit_code: Some(0), signal: None, cpu_us: Some(1_000), out_of_memory: false };
    end.send(ended).unwrap();
    harness.finds(recovery(vec![run])).await;
    // The pipes of the test have writers, so what the tree can have left in them is looked for.
    harness.run_tasks().await;
    let records = harness.records();
    let names: Vec<String> = records.iter().map(name).collect();
    assert_eq!(names, ["Recover", "Settle", "Exit", "Release"]);
    let reason = records.iter().find_map(|record| match record {
        Record::Exit { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, Some(ExitReason::LruEvicted));
    assert!(harness.told().is_empty(), "JavaScript has not told it yet");
    let Record::Recover { run, .. } = &records[0] else { panic!() };
    harness.driver.end_is_told(*run);
    assert_eq!(harness.told(), ["taken 9"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_host_that_leaves_lets_its_tenants_go_and_its_gateways_still_get_them() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (run, _end) = found(9, "a", READY);
    harness.finds(recovery(vec![run])).await;
    harness.records();
    let detach = 2_000;
    harness.driver.detach(detach);
    assert!(harness.driver.is_leaving());
    harness.run_tasks().await;
    let records = harness.records();
    assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Detach", "Settle"]);
    assert_eq!(answer(&records, detach), Some(&Outcome::Done));
    assert_eq!(harness.told(), ["detach"]);
    assert!(harness.stops().is_empty());
    assert!(harness.driver.directory.acquire("a").is_some(), "requests on open connections");
    let ensure = harness.ensure("a");
    let refused = Outcome::Refused(Refusal::Disposed);
    assert_eq!(answer(&harness.records(), ensure), Some(&refused));
}

#[tokio::test(flavor = "current_thread")]
async fn a_tenant_that_ends_as_it_is_let_go_holds_nothing_up_and_its_end_is_left() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (run, end) = found(9, "a", READY);
    let record = run.record.descriptor().unwrap();
    harness.finds(recovery(vec![run])).await;
    harness.records();
    let ended = Ended { exit_code: Some(3), signal: None, cpu_us: None, out_of_memory: false };
    end.send(ended).unwrap();
    harness.driver.detach(2_000);
    for _ in 0..3 {
        harness.run_tasks().await;
    }
    let records = harness.records();
    assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Detach", "Settle"]);
    assert_eq!(harness.told(), ["detach"], "the warden keeps its end");
    let (_, left) = RecordFile::found(record).unwrap();
    assert_eq!((left.figures.lines_read, left.figures.lines_open), (0, 0));
}

#[tokio::test(flavor = "current_thread")]
async fn another_host_that_asks_makes_this_one_leave_without_javascript() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (run, _end) = found(9, "a", READY);
    harness.finds(recovery(vec![run])).await;
    harness.records();
    harness.warden.notices.send(Notice::Yield { pid: 77 }).unwrap();
    harness.run_tasks().await;
    assert_eq!(harness.told(), ["detach"]);
    let records = harness.records();
    let is_told = |record: &Record| {
        matches!(record, Record::Detach { reason: driver::DetachReason::TakeOver })
    };
    assert!(records.iter().any(is_told), "{records:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_host_leaves_when_javascript_has_told_the_ends_of_what_it_has_stopped() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (run, _end) = found(9, "a", READY);
    harness.finds(recovery(vec![run])).await;
    let Some(Record::Recover { run, .. }) = harness.records().into_iter().next() else { panic!() };
    harness.kill("a");
    assert_eq!(harness.told(), ["Stopping 9 5"]);
    harness.driver.detach(2_000);
    harness.driver.ended(run, Exit { exit_code: Some(0), ..Exit::default() });
    harness.run_tasks().await;
    assert!(harness.told().is_empty(), "its exit is not told");
    harness.records();
    harness.driver.end_is_told(run);
    assert_eq!(harness.told(), ["taken 9", "detach"]);
    assert_eq!(answer(&harness.records(), 2_000), Some(&Outcome::Done));
}

#[tokio::test(flavor = "current_thread")]
async fn javascript_that_goes_leaves_its_tenants_to_the_next_host() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (run, _end) = found(9, "a", READY);
    harness.finds(recovery(vec![run])).await;
    harness.driver.abandon();
    harness.run_tasks().await;
    assert_eq!(harness.told(), ["detach"]);
    assert!(harness.stops().is_empty(), "it is not stopped");
}

#[tokio::test(flavor = "current_thread")]
async fn tenants_are_in_use_until_the_host_before_is_gone() {
    let idle = pool::Config { idle_after_ms: Some(1_000), ..config() };
    let mut harness = Harness::surviving(idle);
    harness.driver.recover(1_000);
    let (run, _end) = found(9, "a", READY);
    harness.finds(recovery(vec![run])).await;
    harness.pass(60_000).await;
    assert!(harness.stops().is_empty(), "a request of the host before may be under way");
    harness.warden.notices.send(Notice::PredecessorGone).unwrap();
    harness.run_tasks().await;
    harness.pass(60_000).await;
    assert_eq!(harness.stops().len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn lines_that_are_begun_when_a_host_leaves_are_in_the_record() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (mut run, _end) = found(9, "a", READY);
    let record = run.record.descriptor().unwrap();
    run.output.begun = vec![(Stream::Stdout, b"begun".to_vec())];
    harness.finds(recovery(vec![run])).await;
    harness.driver.detach(2_000);
    harness.run_tasks().await;
    let (_, known) = RecordFile::found(record).unwrap();
    assert_eq!(known.begun, [(Stream::Stdout, b"begun".to_vec())]);
    assert_eq!(known.figures.lines_open, 0);
    let _ = harness.call(|call| Input::Kill { key: "a".into(), call });
}

#[tokio::test(flavor = "current_thread")]
async fn lines_that_javascript_does_not_hear_are_not_lost() {
    let mut harness = Harness::surviving(config());
    harness.driver.recover(1_000);
    let (mut run, _end) = found(9, "a", READY);
    let record = run.record.descriptor().unwrap();
    let text = b"one\ntwo\nbegun".to_vec();
    run.output.written = vec![Piece { at_unix_ms: 5, stream: ring::Stream::Stdout, text }];
    harness.finds(recovery(vec![run])).await;
    let (_, known) = RecordFile::found(record).unwrap();
    let figures = known.figures;
    assert_eq!((figures.lines_read, figures.lines_told, figures.lines_open), (2, 2, 1));
}

#[tokio::test(flavor = "current_thread")]
async fn a_host_that_leaves_before_it_knows_what_was_found_leaves_all_of_it() {
    for keys in [&["a"][..], &[]] {
        let mut harness = Harness::surviving(config());
        harness.driver.recover(1_000);
        harness.driver.detach(2_000);
        let (runs, _ends): (Vec<_>, Vec<_>) = keys.iter().map(|key| found(9, key, READY)).unzip();
        harness.finds(recovery(runs)).await;
        assert_eq!(harness.told(), ["detach"]);
        let records = harness.records();
        let names = records.iter().map(name).filter(|name| name != "Recover");
        assert_eq!(names.collect::<Vec<_>>(), ["Settle", "Detach", "Settle"]);
        assert_eq!(answer(&records, 2_000), Some(&Outcome::Done));
    }
}
