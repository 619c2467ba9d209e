//! A shortage of the warden fails the launches that meet it, which report it; running tenants go
//! on, and launches work as soon as the shortage is over.

#![allow(clippy::disallowed_methods, reason = "tests start processes")]

mod support;

use std::fs;
use std::ops::Range;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use support::{SIGKILL, Tenant, Warden, eventually, process, script};
use warden::protocol::{LaunchStep, Report, StopStage};

const EAGAIN: i32 = 11;
const EMFILE: i32 = 24;

/// Lowers a limit of a process; returns the former one.
fn limit(pid: Pid, resource: Resource, current: u64) -> Rlimit {
    let before = getrlimit(resource);
    prlimit(Some(pid), resource, Rlimit { current: Some(current), ..before }).unwrap()
}

fn give_back(pid: Pid, resource: Resource, before: Rlimit) {
    prlimit(Some(pid), resource, before).unwrap();
}

fn assert_goes_on(warden: &mut Warden, tenant: Tenant, next: u64) {
    assert!(process::exists(tenant.pid), "what ran before has ended");
    warden.start_script(next, "exit 0");
    assert_eq!(warden.expect_ended(next).how(), support::exited(0));
    warden.stop(tenant.run, StopStage::Kill);
    assert_eq!(warden.expect_ended(tenant.run).how(), SIGKILL);
}

/// Raises a limit of the warden step by step until a launch succeeds; returns how the launches
/// before it failed.
fn failures_until_enough(
    warden: &mut Warden,
    resource: Resource,
    limits: Range<u64>,
) -> Vec<(LaunchStep, i32)> {
    let mut failures = Vec::new();
    for run in limits {
        let before = limit(warden.pid(), resource, run);
        warden.launch(run, &script("exit 0"));
        let outcome = warden.report_about(run);
        give_back(warden.pid(), resource, before);
        match outcome {
            Report::LaunchFailed { step, errno, .. } => failures.push((step, errno)),
            Report::Started { .. } => {
                assert_eq!(warden.expect_ended(run).how(), support::exited(0));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    failures
}

/// Every launch fails with the error of the missing resource.
#[test]
fn of_descriptors() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "sleep 1000");
    let failures = failures_until_enough(&mut warden, Resource::Nofile, 6..40);
    // First the three descriptors of a launch do not arrive; then none is left for the keeper's
    // socket, or for the tenant's pipe.
    assert!(failures.len() >= 4, "{failures:?}");
    assert!(failures.iter().all(|(_, errno)| *errno == EMFILE), "{failures:?}");
    assert!(failures.contains(&(LaunchStep::ReadSpec, EMFILE)), "{failures:?}");
    assert!(failures.contains(&(LaunchStep::Fork, EMFILE)), "{failures:?}");
    assert_goes_on(&mut warden, tenant, 100);
}

/// A process that cannot be looked at is not taken for gone.
#[test]
fn of_descriptors_while_a_lost_keepers_tree_is_cleared() {
    let mut warden = Warden::start();
    let mut tenant = warden.start_script(1, "setsid sh -c 'echo $$; exec sleep 1000' & wait");
    let stray = Pid::from_raw(tenant.stdout.line().parse().unwrap()).unwrap();
    // Allows no new descriptor. Not lower, since `poll` checks the number of its descriptors
    // against the limit.
    let before = limit(warden.pid(), Resource::Nofile, 3);
    kill_process(tenant.keeper, Signal::KILL).unwrap();
    eventually("the keeper is reaped", || !process::exists(tenant.keeper));
    give_back(warden.pid(), Resource::Nofile, before);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert!(!process::exists(stray), "it was said to have ended");
}

/// First the keeper cannot be forked and then, with room for one more process, the tenant cannot.
/// The limit does not hold for root.
#[test]
fn of_processes() {
    // A user without other processes: each test run has another one.
    support::as_user(50_000 + std::process::id() % 10_000, "no_process_left");
}

#[test]
#[ignore = "run as another user by the test above"]
fn no_process_left() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "exec sleep 1000");
    // The limit counts the threads of this test too.
    let failures = failures_until_enough(&mut warden, Resource::Nproc, 2..100);
    // With the highest of these limits there was room for the keeper alone.
    assert!(failures.len() >= 2, "{failures:?}");
    assert!(failures.iter().all(|failure| *failure == (LaunchStep::Fork, EAGAIN)), "{failures:?}");
    assert_goes_on(&mut warden, tenant, 100);
}

/// A specification for which there is no memory fails its own launch, in the process that would
/// become the tenant.
#[test]
fn of_memory() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "sleep 1000");
    let status = fs::read_to_string(format!("/proc/{}/status", warden.pid().as_raw_pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size_kb: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let long = support::c_string(&format!("LONG={}", "x".repeat(100_000)));
    let spec = warden::LaunchSpec { env: vec![long; 15], ..script("exit 0") };
    let before = limit(warden.pid(), Resource::As, (size_kb + 256) * 1024);
    warden.launch(2, &spec);
    let outcome = warden.report_about(2);
    give_back(warden.pid(), Resource::As, before);
    match outcome {
        Report::LaunchFailed { .. } => {}
        // It ended while it became the tenant, and its program has not run.
        Report::Started { .. } => assert_ne!(warden.expect_ended(2).how(), support::exited(0)),
        other => panic!("{other:?}"),
    }
    assert_goes_on(&mut warden, tenant, 100);
}
