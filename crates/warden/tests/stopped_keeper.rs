//! A keeper that was stopped before it has reported its tenant's start is continued.

mod support;

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use support::{Warden, process, script};
use warden::protocol::StopStage;

const TRIES: u64 = 500;

/// The first child of a process that has no other.
fn only_child(pid: Pid) -> Option<Pid> {
    let id = pid.as_raw_pid();
    let list = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    Pid::from_raw(list.trim().parse().ok()?)
}

fn is_stopped(pid: Pid) -> bool {
    process::ids(pid).is_some_and(|(state, _)| state == "T")
}

#[test]
fn a_late_keeper_is_continued() {
    let mut warden = Warden::start();
    for run in 1..=TRIES {
        let _output = warden.launch(run, &script("exec sleep 1000"));
        let keeper = loop {
            if let Some(keeper) = only_child(warden.pid()) {
                break keeper;
            }
        };
        kill_process(keeper, Signal::STOP).expect("it waits for its tenant's end");
        while !is_stopped(keeper) {}
        let has_reported =
            support::is_readable(warden.socket(), std::time::Duration::from_millis(20));
        // If the keeper was faster, its report is there already.
        warden.expect_started(run);
        warden.stop(run, StopStage::Kill);
        warden.expect_ended(run);
        if !has_reported {
            return;
        }
    }
    panic!("none of {TRIES} keepers was stopped in time");
}

#[test]
fn a_keeper_is_continued_when_the_host_asks() {
    let mut warden = Warden::start();
    let tenants = [1, 2].map(|run| warden.start_script(run, "exec sleep 1000"));
    for tenant in &tenants {
        kill_process(tenant.keeper, Signal::STOP).unwrap();
        support::eventually("it is stopped", || is_stopped(tenant.keeper));
        kill_process(tenant.pid, Signal::KILL).unwrap();
    }
    warden::host::send_continue(warden.socket()).unwrap();
    for tenant in &tenants {
        assert_eq!(warden.expect_ended(tenant.run).how(), support::SIGKILL);
    }
}
