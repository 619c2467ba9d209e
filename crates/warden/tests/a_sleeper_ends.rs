//! A tree that sleeps ends as any other: in order if it is asked to, and whoever is lost.

mod support;

use rustix::process::{Signal, kill_process};
use support::groups::{self, Parent, within};
use support::surviving::{Host, Name};
use support::{SIGKILL, Tenant, Warden, eventually, exited, process, script};
use warden::LaunchSpec;
use warden::protocol::{Depth, Mark, Report, StopStage};

fn each_way() -> Vec<Option<Parent>> {
    [None].into_iter().chain([Parent::v2()].into_iter().filter(Option::is_some)).collect()
}

/// Saves what it has when it is asked to end, and has a child.
fn saves(mark: &str, parent: Option<&Parent>) -> LaunchSpec {
    let mut spec = script(
        "trap 'echo saved; exit 7' TERM; sleep 1000 & echo up; while :; do sleep 0.01; done",
    );
    spec.env.push(support::c_string(mark));
    within(spec, parent.iter().map(|parent| parent.group(&[])).collect())
}

/// A tenant that sleeps, and the number of its group.
fn asleep(warden: &mut Warden, spec: &LaunchSpec) -> (Tenant, u64) {
    let (mut tenant, group) = groups::start(warden, 1, spec);
    assert_eq!(tenant.stdout.line(), "up");
    warden.let_sleep(1, Depth::Frozen);
    (tenant, group)
}

#[test]
fn one_that_is_asked_to_end_is_woken_for_it() {
    for parent in each_way() {
        let mark = process::new_mark();
        let mut warden = Warden::start();
        let (mut tenant, _) = asleep(&mut warden, &saves(&mark, parent.as_ref()));
        warden.stop(1, StopStage::Terminate);
        assert_eq!(warden.expect_ended(1).how(), exited(7));
        assert_eq!(tenant.stdout.rest(), "saved\n");
        assert_eq!(process::marked(&mark), Vec::<i32>::new());
        assert_eq!(warden.surplus_reports(), []);
    }
}

#[test]
fn one_that_is_killed_runs_nothing_before() {
    for parent in each_way() {
        let mark = process::new_mark();
        let mut warden = Warden::start();
        let (mut tenant, _) = asleep(&mut warden, &saves(&mark, parent.as_ref()));
        warden.stop(1, StopStage::Kill);
        assert_eq!(warden.expect_ended(1).how(), SIGKILL);
        assert_eq!(tenant.stdout.rest(), "");
        assert_eq!(process::marked(&mark), Vec::<i32>::new());
    }
}

#[test]
fn one_whose_main_process_is_killed_ends() {
    for parent in each_way() {
        let mark = process::new_mark();
        let mut warden = Warden::start();
        let (tenant, _) = asleep(&mut warden, &saves(&mark, parent.as_ref()));
        kill_process(tenant.pid, Signal::KILL).expect("it is there");
        assert_eq!(warden.expect_ended(1).how(), SIGKILL);
        assert_eq!(process::marked(&mark), Vec::<i32>::new());
    }
}

#[test]
fn one_whose_host_is_gone_is_woken_and_asked() {
    for parent in each_way() {
        let mark = process::new_mark();
        let mut warden = Warden::start();
        let (mut tenant, _) = asleep(&mut warden, &saves(&mark, parent.as_ref()));
        warden.close_and_wait();
        assert_eq!(tenant.stdout.rest(), "saved\n");
        assert_eq!(process::marked(&mark), Vec::<i32>::new());
        assert!(parent.is_none_or(|parent| parent.is_gone()));
    }
}

#[test]
fn one_whose_keeper_or_warden_is_killed_ends() {
    for parent in each_way() {
        for is_of_warden in [false, true] {
            let mark = process::new_mark();
            let mut warden = Warden::start();
            let (tenant, group) = asleep(&mut warden, &saves(&mark, parent.as_ref()));
            if is_of_warden {
                warden.kill();
            } else {
                kill_process(tenant.keeper, Signal::KILL).expect("it is there");
                assert_eq!(warden.expect_ended(1).how(), SIGKILL);
            }
            eventually("all are gone", || process::marked(&mark).is_empty());
            let is_gone = || parent.as_ref().is_none_or(|parent| !parent.at(group).exists());
            eventually("its group is gone", is_gone);
        }
    }
}

#[test]
fn one_that_ends_is_not_let_sleep() {
    let mark = process::new_mark();
    let mut warden = Warden::start();
    let mut spec = script("trap '' TERM; echo up; while :; do sleep 0.01; done");
    spec.env.push(support::c_string(&mark));
    let mut tenant = warden.start_tenant(1, &spec);
    assert_eq!(tenant.stdout.line(), "up");
    warden.stop(1, StopStage::Terminate);
    warden.sleep(1, Depth::Frozen);
    warden.wake(1);
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert_eq!(warden.surplus_reports(), []);
}

/// As `Warden::let_sleep`, of one that survives.
fn let_sleep(host: &mut Host, run: u64) {
    let is_late = |errno: i32| errno == rustix::io::Errno::TIMEDOUT.raw_os_error();
    loop {
        warden::host::send_sleep(host.socket(), run, Depth::Frozen).expect("sent");
        match host.report_about(run) {
            Report::Slept { .. } => return,
            Report::SleepFailed { errno, .. } if is_late(errno) => {}
            other => panic!("expected run {run} to sleep, got {other:?}"),
        }
    }
}

#[test]
fn one_sleeps_on_without_a_host_and_the_next_one_is_told() {
    let mark = process::new_mark();
    let (name, mut host) = Name::owned();
    for run in [1, 2, 3] {
        let mut tenant = host.start_ready(run, &saves(&mark, None));
        assert_eq!(tenant.stdout.line(), "up");
        let_sleep(&mut host, run);
    }
    warden::host::send_wake(host.socket(), 2).expect("sent");
    assert_eq!(host.report_about(2), Report::Awake { run: 2 });
    host.mark(3, Mark::Stopping, 1);
    drop(host);

    let mut next = name.own();
    let mut told = next.told();
    assert_eq!(next.take(3).how(), exited(7), "it was woken to end in order");
    let asleep = |run: u64| told.runs[&run].marks.asleep;
    assert_eq!((asleep(1), asleep(2)), (Some(Depth::Frozen), None));
    let mut tenant = told.runs.remove(&1).expect("found").into_tenant(1);
    // A shell whose child has not executed its program yet waits for that uninterruptibly.
    let state = process::ids(tenant.pid).expect("it is there").0;
    assert!(["T", "D"].contains(&state.as_str()), "{state}");
    warden::host::send_sleep(next.socket(), 1, Depth::Frozen).expect("sent");
    assert!(matches!(next.report_about(1), Report::Slept { .. }), "its memory can be asked for");
    next.stop(1, StopStage::Terminate);
    assert_eq!(next.take(1).how(), exited(7));
    assert_eq!(tenant.stdout.rest(), "saved\n");
    next.leave();
    support::surviving::await_gone(&mark);
}
