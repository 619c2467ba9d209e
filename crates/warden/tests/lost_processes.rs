//! When keepers or the warden are killed, no process is left, and every run gets its final report.

mod support;

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::{SIGKILL, Tenant, Warden, c_string, eventually, exited, process, script, within};
use warden::protocol::Report;

/// A tenant with a child in its group, one in a session of its own, and one that ignores signals.
const FAMILY: &str =
    "sleep 1000 & setsid sleep 1000 & (trap '' TERM HUP; sleep 1000; :) & echo ready; wait";

fn start_family(warden: &mut Warden, run: u64) -> (Tenant, String) {
    let mark = process::new_mark();
    let mut spec = script(FAMILY);
    spec.env.push(c_string(&mark));
    let mut tenant = warden.start_tenant(run, &spec);
    tenant.stdout.line();
    eventually("the family is complete", || process::marked(&mark).len() >= 4);
    (tenant, mark)
}

#[test]
fn a_killed_keeper_takes_its_tenant_with_it() {
    let mut warden = Warden::start();
    let (tenant, mark) = start_family(&mut warden, 1);
    let (other, other_mark) = start_family(&mut warden, 2);
    kill_process(tenant.keeper, Signal::KILL).unwrap();
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert_eq!(process::marked(&mark), Vec::<i32>::new());
    assert!(!process::exists(tenant.pid) && !process::exists(tenant.keeper));
    assert!(process::exists(other.pid) && process::marked(&other_mark).len() >= 4);
    assert_eq!(warden.surplus_reports(), Vec::<Report>::new());
}

#[test]
fn keepers_killed_all_at_once() {
    let mut warden = Warden::start();
    let families: Vec<_> = (1..=10).map(|run| start_family(&mut warden, run)).collect();
    for (tenant, _) in &families {
        kill_process(tenant.keeper, Signal::KILL).unwrap();
    }
    for (tenant, mark) in &families {
        assert_eq!(warden.expect_ended(tenant.run).how(), SIGKILL);
        assert_eq!(process::marked(mark), Vec::<i32>::new());
    }
    warden.start_script(11, "exit 3");
    assert_eq!(warden.expect_ended(11).how(), exited(3), "the warden serves on");
}

#[test]
fn a_killed_keeper_does_not_lose_the_cpu_time_of_its_tenant() {
    let mut warden = Warden::start();
    let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo burnt; sleep 1000";
    let mut tenant = warden.start_script(1, burn);
    tenant.stdout.line();
    kill_process(tenant.keeper, Signal::KILL).unwrap();
    let cpu_us = warden.expect_ended(1).cpu_us;
    assert!(cpu_us > 20_000, "{cpu_us} us");
}

#[test]
fn a_killed_warden_takes_everything_with_it() {
    let mut warden = Warden::start();
    let families: Vec<_> = (1..=10).map(|run| start_family(&mut warden, run)).collect();
    warden.kill();
    within(Duration::from_secs(2), "everything is gone", || {
        families.iter().all(|(tenant, mark)| {
            is_over(tenant.keeper) && is_over(tenant.pid) && process::marked(mark).is_empty()
        })
    });
}

#[test]
fn tenants_of_a_killed_warden_can_save_what_they_have() {
    let mut warden = Warden::start();
    let text = "trap 'sleep 0.2; echo saved; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let mut tenant = warden.start_script(1, text);
    tenant.stdout.line();
    warden.kill();
    assert_eq!(tenant.stdout.rest(), "saved\n");
}

#[test]
fn a_tenant_whose_keeper_and_warden_cannot_help_dies_all_the_same() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "exec sleep 1000");
    kill_process(warden.pid(), Signal::STOP).unwrap();
    kill_process(tenant.keeper, Signal::KILL).unwrap();
    assert!(process::wait_for_end(tenant.pid, support::DEADLINE));
    kill_process(warden.pid(), Signal::CONT).unwrap();
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
}

/// Whether a process has ended. Orphans of the warden are reaped by the process that adopts them,
/// so a zombie counts as ended.
fn is_over(pid: Pid) -> bool {
    process::ids(pid).is_none_or(|(state, _)| state == "Z")
}

#[test]
fn signals_that_end_or_stop_others_leave_the_warden_and_its_keepers_alone() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "sleep 1000");
    let signals = [
        Signal::TERM,
        Signal::INT,
        Signal::HUP,
        Signal::QUIT,
        Signal::PIPE,
        Signal::TSTP,
        Signal::TTIN,
        Signal::USR1,
        Signal::ALARM,
    ];
    for signal in signals {
        kill_process(warden.pid(), signal).unwrap();
        kill_process(tenant.keeper, signal).unwrap();
    }
    warden.start_script(2, "exit 4");
    assert_eq!(warden.expect_ended(2).how(), exited(4));
    assert!(process::exists(tenant.pid) && process::exists(tenant.keeper));
    assert_eq!(warden.close_and_wait(), Some(0));
}
