//! The warden and its keepers run ahead of their tenants where that is allowed, and a tenant
//! starts with the priority that a child of the host would have.

#![allow(clippy::disallowed_methods, reason = "tests start processes")]

mod support;

use std::fs;
use std::process::Command;

use rustix::process::Pid;
use support::{Warden, eventually, script};

/// Prints the process's priority and niceness, its real-time priority and policy, as the kernel
/// numbers them, and its timer slack.
const LOOK: &str = "set -- $(sed 's/.*) //' /proc/self/stat); echo ${16} ${17} ${38} ${39}; \
    cat /proc/$$/timerslack_ns";

/// Commands below which the host runs.
const HOSTS: [&[&str]; 7] = [
    &[],
    &["nice", "-n", "5"],
    &["chrt", "--batch", "0"],
    &["chrt", "--idle", "0"],
    // The next ones take root.
    &["nice", "-n", "-3"],
    &["chrt", "--fifo", "7"],
    &["setpriv", "--bounding-set=-sys_nice", "nice", "-n", "2"],
];

fn below(host: &[&str], program: &[&str]) -> Command {
    let mut words = host.iter().chain(program);
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words);
    command
}

fn works(host: &[&str]) -> bool {
    below(host, &["true"])
        .output()
        .is_ok_and(|output| output.status.success() && output.stderr.is_empty())
}

/// The fields of a process's `stat` line, from the state on.
fn fields_of(pid: Pid) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).expect("it is there");
    stat[stat.rfind(')').expect("a name") + 2..].split(' ').map(str::to_owned).collect()
}

fn is_ahead(pid: Pid) -> bool {
    fields_of(pid)[16] == "-20"
}

/// The kernel's number of their real-time policy.
const ROUND_ROBIN: &str = "2";

/// Whether the process sleeps with real-time priority.
fn waits_with_precedence(pid: Pid) -> bool {
    let fields = fields_of(pid);
    fields[0] == "S" && fields[38] == ROUND_ROBIN
}

#[test]
fn a_tenant_starts_as_a_child_of_the_host_would() {
    for host in HOSTS.into_iter().filter(|host| works(host)) {
        let expected = below(host, &["sh", "-c", LOOK]).output().expect("it runs").stdout;
        let mut warden = Warden::start_by(below(host, &[env!("CARGO_BIN_EXE_warden")]));
        let mut tenant = warden.start_script(1, LOOK);
        assert_eq!(tenant.stdout.rest(), String::from_utf8_lossy(&expected), "below {host:?}");
        warden.expect_ended(1);
    }
}

#[test]
fn the_warden_and_the_keepers_are_ahead_where_they_may() {
    if !works(&["nice", "-n", "-20"]) {
        return eprintln!("skipped: no higher priority to be had");
    }
    let mut warden = Warden::start();
    let tenant = warden.start_tenant(1, &script("exec sleep 1000"));
    assert!(is_ahead(warden.pid()) && is_ahead(tenant.keeper) && !is_ahead(tenant.pid));
}

#[test]
fn the_warden_and_the_keepers_wait_for_orders_before_all_ordinary_processes() {
    if !works(&["chrt", "--fifo", "2"]) {
        return eprintln!("skipped: no real-time priority to be had");
    }
    let mut warden = Warden::start();
    let tenant = warden.start_tenant(1, &script("exec sleep 1000"));
    // They have an ordinary priority for a moment each time that they look for children to reap.
    eventually("they wait with precedence", || {
        waits_with_precedence(warden.pid()) && waits_with_precedence(tenant.keeper)
    });
    assert_ne!(fields_of(tenant.pid)[38], ROUND_ROBIN);
}
