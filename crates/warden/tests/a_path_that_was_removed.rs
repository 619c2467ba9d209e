//! A warden whose socket or directory was removed makes it again, so that the next host finds
//! it. Where the name has another warden by then, its tenants end when their host goes.

#![allow(clippy::disallowed_methods, reason = "tests start processes")]

mod support;

use std::fs;

use rustix::process::{Signal, kill_process};
use support::surviving::{Name, hello, welcome};
use support::{DEADLINE, process, spec};
use warden::LaunchSpec;
use warden::hello::{Answer, Wish};

fn sleeper() -> LaunchSpec {
    spec(&["/bin/sleep", "1000"])
}

#[test]
fn without_a_host_the_socket_is_made_again() {
    let (name, mut host) = Name::owned();
    let tenant = host.start_ready(1, &sleeper());
    drop(host);
    for _ in 0..2 {
        fs::remove_file(name.socket()).unwrap();
        name.is_found();
        assert!(name.lock().is_none(), "the name has its warden");
    }
    let mut next = name.own();
    assert_eq!(next.told().runs[&1].main(), tenant.pid);
    next.leave();
    assert!(name.is_free());
}

#[test]
fn a_directory_is_made_again_for_a_host_that_takes_over() {
    let (name, mut host) = Name::owned();
    let tenant = host.start_ready(1, &sleeper());
    fs::remove_dir_all(&name.directory).unwrap();
    name.is_found();
    assert!(name.lock().is_none(), "the name has its warden");
    let (socket, warden, waits) = name.meet(&hello(Wish::TakeOver));
    assert_eq!((warden, waits.answer), (host.warden, Answer::Waiting));
    host.detach();
    assert_eq!(welcome(&socket, warden).expect("an answer").answer, Answer::Owner);
    assert!(process::exists(tenant.pid));
    drop((host, socket));
}

#[test]
fn tenants_that_nobody_can_find_end_with_their_host() {
    let (name, mut host) = Name::owned();
    let tenant = host.start_ready(1, &sleeper());
    let warden = host.warden;
    process::stop(warden);
    fs::remove_dir_all(&name.directory).unwrap();
    fs::create_dir(&name.directory).unwrap();
    assert!(name.start().success(), "another warden has the name");
    let other = name.own();
    assert_ne!(other.warden, warden);
    kill_process(warden, Signal::CONT).unwrap();

    // Its own host has it as before.
    let second = host.start_ready(2, &sleeper());
    assert!(process::exists(tenant.pid));
    drop(host);
    for pid in [tenant.pid, second.pid, warden] {
        assert!(process::wait_for_end(pid, DEADLINE), "{pid:?} has not ended");
    }
    assert_eq!(name.look().warden_pid, other.welcome.warden_pid, "the other one keeps the name");
    other.leave();
}
