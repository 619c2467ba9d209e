//! When the host's end of the socket closes, every tenant is asked to end, and everything is gone
//! within a second.

#![allow(clippy::disallowed_methods, reason = "tests start processes and measure time")]

mod support;

use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use support::{Tenant, Warden, c_string, eventually, process, script};

/// The promise to the host.
const PROMISE: Duration = Duration::from_secs(1);

fn start_families(warden: &mut Warden, count: u64) -> (Vec<Tenant>, String) {
    let mark = process::new_mark();
    let mut spec =
        script("setsid sh -c 'trap \"\" TERM HUP; sleep 1000; :' & sleep 1000 & echo ready; wait");
    spec.env.push(c_string(&mark));
    let mut tenants: Vec<Tenant> = (1..=count).map(|run| warden.start_tenant(run, &spec)).collect();
    for tenant in &mut tenants {
        tenant.stdout.line();
    }
    let expected = tenants.len() * 3;
    eventually("the families are complete", || process::marked(&mark).len() >= expected);
    (tenants, mark)
}

fn assert_all_goes(warden: &mut Warden, tenants: &[Tenant], mark: &str) {
    let begin = Instant::now();
    assert_eq!(warden.close_and_wait(), Some(0));
    let elapsed = begin.elapsed();
    assert!(elapsed < PROMISE, "took {elapsed:?}");
    // The warden exits last, so no process may be left now.
    assert_eq!(process::marked(mark), Vec::<i32>::new());
    for tenant in tenants {
        assert!(!process::exists(tenant.pid) && !process::exists(tenant.keeper));
    }
}

#[test]
fn without_tenants() {
    let mut warden = Warden::start();
    assert_all_goes(&mut warden, &[], &process::new_mark());
}

#[test]
fn with_thirty_tenants() {
    let mut warden = Warden::start();
    let (tenants, mark) = start_families(&mut warden, 30);
    assert_all_goes(&mut warden, &tenants, &mark);
}

#[test]
fn tenants_can_save_what_they_have() {
    let mut warden = Warden::start();
    let text = "trap 'sleep 0.2; echo saved; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let mut tenants: Vec<Tenant> = (1..=5).map(|run| warden.start_script(run, text)).collect();
    for tenant in &mut tenants {
        tenant.stdout.line();
    }
    assert_all_goes(&mut warden, &[], &process::new_mark());
    for tenant in &mut tenants {
        assert_eq!(tenant.stdout.rest(), "saved\n");
    }
}

#[test]
fn a_tenant_that_was_being_stopped_has_no_more_time_than_others() {
    let mut warden = Warden::start();
    let text = "trap 'echo heard' TERM; echo ready; while :; do sleep 0.01; done";
    let mut tenant = warden.start_script(1, text);
    tenant.stdout.line();
    warden.stop(1, warden::protocol::StopStage::Terminate);
    assert_eq!(tenant.stdout.line(), "heard");
    assert_all_goes(&mut warden, &[], &process::new_mark());
    assert_eq!(tenant.stdout.rest(), "", "it was asked once more");
}

#[test]
fn with_stopped_keepers() {
    let mut warden = Warden::start();
    let (tenants, mark) = start_families(&mut warden, 3);
    for tenant in &tenants {
        kill_process(tenant.keeper, Signal::STOP).unwrap();
    }
    assert_all_goes(&mut warden, &tenants, &mark);
}

#[test]
fn with_launches_that_the_warden_has_not_read() {
    let mut warden = Warden::start();
    let mark = process::new_mark();
    let mut spec = script("sleep 1000");
    spec.env.push(c_string(&mark));
    for run in 1..=20 {
        warden.launch(run, &spec);
    }
    assert_all_goes(&mut warden, &[], &mark);
}

#[test]
fn with_reports_that_the_host_has_not_read() {
    let mut warden = Warden::start();
    let outputs: Vec<_> = (1..=20).map(|run| warden.launch(run, &script("exit 0"))).collect();
    for (mut stdout, _) in outputs {
        stdout.rest();
    }
    assert_eq!(warden.close_and_wait(), Some(0));
}

#[test]
fn a_host_of_another_protocol_is_refused_and_everything_ends() {
    let mut warden = Warden::start();
    let (tenants, mark) = start_families(&mut warden, 2);
    rustix::net::send(warden.socket(), b"nonsense", rustix::net::SendFlags::NOSIGNAL).unwrap();
    assert_eq!(warden.wait_for_exit(), Some(2));
    assert_eq!(process::marked(&mark), Vec::<i32>::new());
    assert!(tenants.iter().all(|tenant| !process::exists(tenant.pid)));
}

#[test]
fn a_start_without_a_hosts_socket_is_refused() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_warden"));
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not the host's socket"));
}
