//! A tree that was stopped by signals and runs without an order is told of, whatever has continued it.

#![allow(clippy::disallowed_methods, reason = "tests measure time")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use support::{Tenant, Warden, eventually, process, script};
use warden::protocol::{Depth, Report, StopStage};

const STIRRED: Report = Report::Stirred { run: 1 };
const AWAKE: Report = Report::Awake { run: 1 };

fn start(text: &str) -> (Warden, Tenant) {
    let mut warden = Warden::start();
    let tenant = warden.start_tenant(1, &script(text));
    (warden, tenant)
}

fn continues(pid: Pid) {
    kill_process(pid, Signal::CONT).expect("it is there");
}

fn state(pid: Pid) -> String {
    process::ids(pid).expect("it is there").0
}

#[test]
fn a_child_that_does_nothing_once_it_is_continued() {
    let (mut warden, tenant) = start("echo up; exec sleep 1000");
    for depth in [Depth::Frozen, Depth::PagedOut, Depth::Frozen] {
        warden.let_sleep(1, depth);
        continues(tenant.pid);
        assert_eq!(warden.report_about(1), STIRRED);
    }
    assert_eq!(warden.surplus_reports(), []);
}

#[test]
fn a_grandchild_alone() {
    let text = "sh -c 'echo $$; while :; do :; done' & wait";
    let (mut warden, mut tenant) = start(text);
    let grandchild = tenant.stdout.pid();
    for _ in 0..5 {
        warden.let_sleep(1, Depth::Frozen);
        continues(grandchild);
        assert_eq!(warden.report_about(1), STIRRED);
        eventually("all of it runs", || state(tenant.pid) == "S");
        warden.wake(1);
        assert_eq!(warden.report_about(1), AWAKE);
    }
}

/// It has stopped itself again by the time that anybody could look.
#[test]
fn a_grandchild_that_starts_another_process_and_stops() {
    let own = "echo $$; while :; do sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done' & kill -STOP $$; done";
    let (mut warden, mut tenant) = start(&format!("sh -c '{}' & wait", own.replace('\'', "'\\''")));
    let grandchild = tenant.stdout.pid();
    eventually("it has stopped", || state(grandchild) == "T");
    warden.let_sleep(1, Depth::Frozen);
    // Each time it uses less than what an alarm could tell of.
    let mut told = Vec::new();
    eventually("that is told", || {
        continues(grandchild);
        told.extend(warden.surplus_reports());
        !told.is_empty()
    });
    assert_eq!(told, [STIRRED]);
}

#[test]
fn one_of_more_processes_than_alarms_are_set_for() {
    let text = "for i in $(seq 40); do sh -c 'while :; do :; done' & done; echo $!; wait";
    let (mut warden, mut tenant) = start(text);
    let last = tenant.stdout.pid();
    for _ in 0..2 {
        warden.let_sleep(1, Depth::Frozen);
        continues(last);
        assert_eq!(warden.report_about(1), STIRRED);
    }
    warden.stop(1, StopStage::Kill);
}

#[test]
fn nothing_is_told_of_one_that_was_continued_while_it_was_awake_or_is_killed_asleep() {
    let (mut warden, tenant) = start("sleep 1000 & sleep 1000 & wait");
    for _ in 0..20 {
        kill_process(tenant.pid, Signal::STOP).expect("it is there");
        continues(tenant.pid);
        warden.let_sleep(1, Depth::Frozen);
        warden.wake(1);
        assert_eq!(warden.report_about(1), AWAKE);
    }
    warden.let_sleep(1, Depth::Frozen);
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), support::SIGKILL);
    assert_eq!(warden.surplus_reports(), []);
}

#[test]
fn whatever_continues_it_while_it_is_woken_each_order_has_its_answer() {
    let (mut warden, tenant) = start("while :; do :; done & while :; do :; done");
    let pid = tenant.pid;
    let flood = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while flood.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = kill_process(pid, Signal::CONT);
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
        });
        for _ in 0..50 {
            warden.sleep(1, Depth::Frozen);
            warden.wake(1);
            let mut reports = vec![warden.report_about(1), warden.report_about(1)];
            if reports[1] == STIRRED {
                reports[1] = warden.report_about(1);
            }
            let is_answer = matches!(reports[0], Report::Slept { .. } | Report::SleepFailed { .. });
            assert!(is_answer && reports[1] == AWAKE, "{reports:?}");
        }
        flood.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(warden.surplus_reports(), []);
    warden.let_sleep(1, Depth::Frozen);
    assert_eq!(state(pid), "T");
    warden.stop(1, StopStage::Kill);
}
