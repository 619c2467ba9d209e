//! The memory of a tree that sleeps is handed to swap where there is some, and is all there when the
//! tree is woken; and where there is none, the tree sleeps all the same, and that is told.

#![allow(clippy::disallowed_methods, reason = "tests measure time")]

mod support;

use std::fs;

use rustix::process::{Signal, kill_process};
use support::groups::{self, Parent, within};
use support::{SIGKILL, Tenant, Warden, eventually, script};
use warden::protocol::{Depth, Report, StopStage};

const BYTES: u64 = 24 << 20;

fn has_swap() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|list| list.lines().count() > 1)
}

/// Without a group, which takes privileges, and with one that has the controller.
fn each_way() -> Vec<Option<Parent>> {
    let with_group = Parent::v2_with("memory").map(Some);
    let without = rustix::process::geteuid().is_root().then_some(None);
    without.into_iter().chain(with_group).collect()
}

/// Holds so much memory, and writes how much of it there is for each line that it reads.
fn holder(warden: &mut Warden, parent: Option<&Parent>) -> Tenant {
    let text = format!(
        "held=$(head -c {BYTES} /dev/zero | tr '\\0' x); echo up
         trap 'echo ${{#held}} $(printf %s \"$held\" | tr -d x | wc -c)' USR1
         while :; do sleep 0.05; done"
    );
    let groups = parent.iter().map(|parent| parent.group(&["memory.max=512000000"])).collect();
    let (mut tenant, _) = groups::start(warden, 1, &within(script(&text), groups));
    assert_eq!(tenant.stdout.line(), "up");
    tenant
}

/// The warden hears these orders together, however long this thread waits for a processor.
fn at_once(warden: &Warden, order: impl FnOnce()) {
    kill_process(warden.pid(), Signal::STOP).expect("it is there");
    order();
    kill_process(warden.pid(), Signal::CONT).expect("it is there");
}

#[test]
fn its_memory_goes_and_comes_back_as_it_was() {
    if !has_swap() {
        return eprintln!("skipped: the machine has no swap");
    }
    for parent in each_way() {
        let mut warden = Warden::start();
        let mut tenant = holder(&mut warden, parent.as_ref());
        for _ in 0..3 {
            let (depth, before) = warden.let_sleep(1, Depth::Frozen);
            assert!(depth == Depth::Frozen && before > BYTES, "{depth:?} {before}");
            let begin = std::time::Instant::now();
            let (depth, after) = warden.let_sleep(1, Depth::PagedOut);
            assert_eq!(depth, Depth::PagedOut);
            assert!(after < before / 4, "{before} -> {after}");
            println!("{before} -> {after} in {:?}", begin.elapsed());
            warden.wake(1);
            assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
            kill_process(tenant.pid, Signal::USR1).expect("it is there");
            assert_eq!(tenant.stdout.line(), format!("{BYTES} 0"));
        }
        // All at once.
        assert_eq!(warden.let_sleep(1, Depth::PagedOut).0, Depth::PagedOut);
    }
}

#[test]
fn an_order_to_wake_does_not_wait_for_all_of_it() {
    if !has_swap() {
        return eprintln!("skipped: the machine has no swap");
    }
    for parent in each_way() {
        let mut warden = Warden::start();
        let _tenant = holder(&mut warden, parent.as_ref());
        let (_, before) = warden.let_sleep(1, Depth::Frozen);
        at_once(&warden, || {
            warden.sleep(1, Depth::PagedOut);
            warden.wake(1);
        });
        let canceled = rustix::io::Errno::CANCELED.raw_os_error();
        assert_eq!(warden.report_about(1), Report::SleepFailed { run: 1, errno: canceled });
        assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
        let (_, after) = warden.let_sleep(1, Depth::Frozen);
        assert!(after > before / 2, "{before} -> {after}");
    }
}

#[test]
fn nothing_of_it_is_told_of_one_that_is_killed_meanwhile() {
    if !has_swap() {
        return eprintln!("skipped: the machine has no swap");
    }
    for parent in each_way() {
        let mut warden = Warden::start();
        let _tenant = holder(&mut warden, parent.as_ref());
        warden.let_sleep(1, Depth::Frozen);
        at_once(&warden, || {
            warden.sleep(1, Depth::PagedOut);
            warden.stop(1, StopStage::Kill);
        });
        assert_eq!(warden.expect_ended(1).how(), SIGKILL);
        assert_eq!(warden.surplus_reports(), []);
    }
}

#[test]
fn without_swap_it_sleeps_as_deep_as_it_can() {
    if has_swap() {
        return eprintln!("skipped: the machine has swap");
    }
    let mut warden = Warden::start();
    let tenant = holder(&mut warden, None);
    let (depth, rss_bytes) = warden.let_sleep(1, Depth::PagedOut);
    assert!(depth == Depth::Frozen && rss_bytes > BYTES);
    warden.wake(1);
    assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
    let state = || support::process::ids(tenant.pid).expect("it is there").0;
    eventually("it runs", || state() != "T");
}
