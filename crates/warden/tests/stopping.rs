//! Stopping a tenant: with `SIGTERM`, then with `SIGKILL`.

mod support;

use rustix::process::{Signal, kill_process};
use support::{SIGKILL, SIGTERM, Warden, eventually, exited, process, script};
use warden::protocol::{Report, StopStage};

#[test]
fn a_tenant_can_handle_its_termination() {
    let mut warden = Warden::start();
    let mut tenant = warden
        .start_script(1, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    assert_eq!(tenant.stdout.line(), "ready");
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), exited(7));
    assert_eq!(tenant.stdout.rest(), "bye\n");
}

#[test]
fn a_tenant_without_a_handler_ends_by_the_signal() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "exec sleep 1000");
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), SIGTERM);
    assert!(!process::exists(tenant.pid) && !process::exists(tenant.keeper));
}

#[test]
fn a_tenant_that_goes_on_is_asked_once() {
    let mut warden = Warden::start();
    let mut tenant =
        warden.start_script(1, "trap 'echo heard' TERM; echo ready; while :; do sleep 0.01; done");
    assert_eq!(tenant.stdout.line(), "ready");
    warden.stop(1, StopStage::Terminate);
    assert_eq!(tenant.stdout.line(), "heard");
    warden.stop(1, StopStage::Terminate);
    // Long enough for a second signal to arrive.
    warden.start_script(2, "sleep 0.1");
    warden.expect_ended(2);
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert_eq!(tenant.stdout.rest(), "", "a second signal was sent");
}

#[test]
fn stopped_processes_below_hear_of_the_termination() {
    let mut warden = Warden::start();
    let child = "trap 'echo heard; exit' TERM; echo $$; while :; do sleep 0.01; done";
    for leader in ["wait", "trap 'kill $c; exit' TERM; wait"] {
        let mut tenant = warden.start_script(
            1,
            &format!("setsid sh -c \"{}\" & c=$!; {leader}", child.replace('$', "\\$")),
        );
        let pid = rustix::process::Pid::from_raw(tenant.stdout.line().parse().unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        eventually("it is stopped", || process::ids(pid).unwrap().0 == "T");
        warden.stop(1, StopStage::Terminate);
        warden.expect_ended(1);
        assert_eq!(tenant.stdout.rest(), "heard\n");
    }
}

#[test]
fn a_stopped_tenant_hears_its_termination() {
    let mut warden = Warden::start();
    let mut tenant =
        warden.start_script(1, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    tenant.stdout.line();
    kill_process(tenant.pid, Signal::STOP).unwrap();
    eventually("it is stopped", || process::ids(tenant.pid).unwrap().0 == "T");
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), exited(5));
}

#[test]
fn a_tenant_that_ignores_its_termination_is_killed() {
    let mut warden = Warden::start();
    let mut tenant =
        warden.start_script(1, "trap '' TERM; echo ready; while :; do sleep 1000; done");
    tenant.stdout.line();
    warden.stop(1, StopStage::Terminate);
    let mut other = warden.start_script(2, "echo here");
    assert_eq!(other.stdout.rest(), "here\n");
    assert!(process::exists(tenant.pid));
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
}

#[test]
fn a_kill_needs_no_termination_before() {
    let mut warden = Warden::start();
    let mut tenant =
        warden.start_script(1, "trap 'echo heard' TERM; echo ready; while :; do sleep 0.01; done");
    tenant.stdout.line();
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert_eq!(tenant.stdout.rest(), "");
}

#[test]
fn what_outlives_the_main_process_has_the_rest_of_its_time() {
    let mut warden = Warden::start();
    let helper =
        "trap 'sleep 0.2; echo saved; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let mut tenant =
        warden.start_script(1, &format!("setsid sh -c \"{helper}\" & exec sleep 1000"));
    assert_eq!(tenant.stdout.line(), "ready");
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), SIGTERM, "the main process's result");
    assert_eq!(tenant.stdout.rest(), "saved\n");
}

#[test]
fn a_stop_right_behind_the_launch_works() {
    for stage in [StopStage::Terminate, StopStage::Kill] {
        let mut warden = Warden::start();
        for run in 1..=20 {
            warden.launch(run, &script("sleep 1000"));
            warden.stop(run, stage);
        }
        for run in 1..=20 {
            warden.expect_started(run);
            let expected = if stage == StopStage::Kill { SIGKILL } else { SIGTERM };
            assert_eq!(warden.expect_ended(run).how(), expected);
        }
        assert_eq!(warden.surplus_reports(), []);
    }
}

/// A keeper that exits without having read a stop must still deliver its result.
#[test]
fn a_kill_that_comes_too_late_changes_nothing() {
    let mut warden = Warden::start();
    for run in 1..=200 {
        let tenant = warden.start_script(run, "exec sleep 1000");
        warden.stop(run, StopStage::Terminate);
        assert!(process::wait_for_end(tenant.pid, support::DEADLINE));
        warden.stop(run, StopStage::Kill);
        assert_eq!(warden.expect_ended(run).how(), SIGTERM, "run {run}");
    }
}

#[test]
fn stops_of_unknown_and_ended_runs_are_ignored() {
    let mut warden = Warden::start();
    warden.start_script(1, "exit 0");
    warden.expect_ended(1);
    for run in [1, 99] {
        warden.stop(run, StopStage::Terminate);
        warden.stop(run, StopStage::Kill);
    }
    let mut tenant = warden.start_script(2, "echo alive");
    assert_eq!(tenant.stdout.rest(), "alive\n");
    warden.expect_ended(2);
    assert_eq!(warden.surplus_reports(), Vec::<Report>::new());
}

#[test]
fn a_stopped_keeper_still_obeys() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "exec sleep 1000");
    kill_process(tenant.keeper, Signal::STOP).unwrap();
    eventually("it is stopped", || process::ids(tenant.keeper).unwrap().0 == "T");
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
}

/// Each process that is asked has to be waited for, since it may pass the signal on, and is busy
/// after the signal.
#[test]
fn a_kill_is_obeyed_while_many_are_still_to_be_asked() {
    const MANY: usize = 12;
    let grandchild = "trap : TERM; echo up; while :; do sleep 0.1; done";
    let child = "sh -c \"$G\" & trap 'echo heard' TERM; echo up; while :; do :; done";
    let leader = format!(
        "trap 'exit 0' TERM; n=0; while [ $n -lt {MANY} ]; do sh -c \"$C\" & n=$((n+1)); done; wait"
    );
    let mut warden = Warden::start();
    let mut spec = script(&leader);
    spec.env.extend(
        [format!("G={grandchild}"), format!("C={child}")].map(|entry| support::c_string(&entry)),
    );
    let mut tenant = warden.start_tenant(1, &spec);
    for _ in 0..2 * MANY {
        assert_eq!(tenant.stdout.line(), "up");
    }
    warden.stop(1, StopStage::Terminate);
    assert_eq!(tenant.stdout.line(), "heard");
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), exited(0));
    let heard = 1 + tenant.stdout.rest().matches("heard").count();
    assert!(
        heard <= MANY / 2,
        "{heard} were asked before the keeper heard that all are to be killed"
    );
}
