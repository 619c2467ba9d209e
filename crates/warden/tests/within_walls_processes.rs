//! Within walls a tenant has no privileges, and reaches no process outside of its tree: not the
//! keeper, the warden, the host or a neighbour.

#![allow(clippy::disallowed_methods, reason = "tests start processes")]

mod support;

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;

use rustix::process::{Pid, PidfdFlags, Signal, geteuid, kill_process, pidfd_open};
use support::walls::{
    assert_passes, data, directory, inner_test_within, landlock_abi, rule, skipped, walls,
};
use support::{Warden, exited, process, script};
use warden::confinement::{Access, User};
use warden::spec::LaunchSpec;

/// The variables that name the processes outside, and the words for them.
const OUTSIDE: [&str; 3] = ["HOST", "WARDEN", "NEIGHBOUR"];

fn pid(name: &str) -> Pid {
    let raw = data(name).parse().expect("a pid");
    Pid::from_raw(raw).expect("a positive one")
}

/// Who is outside: this process, which is the host, its warden, and a tenant that it has.
fn with_outside(attack: impl FnOnce(&[(&str, String)])) {
    let mut warden = Warden::start();
    let mut neighbour = warden.start_script(1, "echo ready; exec sleep 1000");
    neighbour.stdout.line();
    let text = |pid: Pid| pid.as_raw_pid().to_string();
    let pids = [rustix::process::getpid(), warden.pid(), neighbour.pid].map(text);
    let outside: Vec<_> = OUTSIDE.into_iter().zip(pids).collect();
    attack(&outside);
    assert!(process::exists(neighbour.pid) && process::exists(neighbour.keeper));
    warden.start_script(2, "exit 4");
    assert_eq!(warden.expect_ended(2).how(), exited(4), "the warden serves on");
}

fn errno(result: i64) -> i32 {
    if result >= 0 { 0 } else { io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn signals() {
    let keeper = rustix::process::getppid().expect("it has a parent");
    let others = OUTSIDE.map(pid);
    for pid in others.into_iter().chain([keeper]) {
        for signal in [Signal::KILL, Signal::STOP, Signal::TERM, Signal::CONT] {
            assert_eq!(kill_process(pid, signal), Err(rustix::io::Errno::PERM), "{pid:?}");
        }
        let raw = pid.as_raw_pid();
        // SAFETY: the calls take integers.
        let (group, thread) = unsafe {
            (libc::kill(-raw, libc::SIGKILL), libc::syscall(libc::SYS_tkill, raw, libc::SIGKILL))
        };
        assert_ne!(group, 0, "the group of {raw}");
        assert_eq!(errno(thread), libc::EPERM, "the thread {raw}");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it can be waited for");
        let sent = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
        assert_eq!(sent, Err(rustix::io::Errno::PERM), "{pid:?} by its descriptor");
    }
    // SAFETY: the call takes integers.
    let all = unsafe { libc::kill(-1, libc::SIGCONT) };
    assert!(all == 0 || errno(all.into()) == libc::EPERM);
    // Its own processes it may.
    let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
    child.kill().expect("a process of its own");
    child.wait().expect("it ends");
}

#[test]
fn no_signal_gets_out() {
    if skipped(landlock_abi() >= 6, "this kernel's Landlock does not hold signals back") {
        return;
    }
    with_outside(|outside| {
        assert_passes(&inner_test_within("signals", outside, Vec::new()));
    });
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn looks() {
    let keeper = rustix::process::getppid().expect("it has a parent").as_raw_pid().to_string();
    for pid in OUTSIDE.map(data).into_iter().chain([keeper]) {
        for link in ["root", "cwd", "exe", "fd/0", "fd/1", "ns/pid"] {
            let path = format!("/proc/{pid}/{link}");
            assert!(fs::read_link(&path).is_err() && fs::File::open(&path).is_err(), "{path}");
        }
        for file in ["environ", "mem", "maps", "auxv", "stack", "syscall"] {
            let path = format!("/proc/{pid}/{file}");
            // Some can be opened, and say nothing.
            assert!(fs::read(&path).map_or(true, |text| text.is_empty()), "{path}");
        }
    }
    assert!(fs::read("/proc/self/maps").is_ok_and(|text| !text.is_empty()));
    assert!(fs::read_link("/proc/self/cwd").is_ok());
}

#[test]
fn nothing_of_a_process_outside_is_seen() {
    if skipped(landlock_abi() > 0, "this kernel has no Landlock") {
        return;
    }
    with_outside(|outside| {
        assert_passes(&inner_test_within("looks", outside, Vec::new()));
    });
}

/// Without the filter Landlock alone keeps tracers out.
#[test]
#[ignore = "run as a tenant by the test below"]
fn traces() {
    for pid in OUTSIDE.map(pid) {
        let raw = pid.as_raw_pid();
        let mut room = [0_u8; 8];
        let local = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(4_096), iov_len: 8 };
        // SAFETY: the room is there, and nothing of this process is written otherwise.
        let (seized, read) = unsafe {
            let seized = libc::ptrace(libc::PTRACE_SEIZE, raw, 0, 0);
            let seized = errno(seized);
            (seized, errno(libc::process_vm_readv(raw, &local, 1, &remote, 1, 0) as i64))
        };
        assert_eq!((seized, read), (libc::EPERM, libc::EPERM), "{raw}");
    }
}

#[test]
fn no_process_outside_is_traced_even_without_the_filter() {
    if skipped(landlock_abi() > 0, "this kernel has no Landlock") {
        return;
    }
    with_outside(|outside| {
        let mut spec = inner_test_within("traces", outside, Vec::new());
        spec.confinement.walls.as_mut().expect("set").refuses_system_calls = false;
        assert_passes(&spec);
    });
}

fn abstract_address(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(name).expect("a short name")
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn abstract_sockets() {
    let denied = UnixStream::connect_addr(&abstract_address(&data("SOCKET")));
    assert_eq!(denied.err().map(|error| error.kind()), Some(io::ErrorKind::PermissionDenied));
    let own = abstract_address(&format!("own-{}", std::process::id()));
    let _listener = UnixListener::bind_addr(&own).expect("one of its own");
    UnixStream::connect_addr(&own).expect("one of its own");
}

#[test]
fn abstract_sockets_outside_cannot_be_reached() {
    if skipped(landlock_abi() >= 6, "this kernel's Landlock does not hold these back") {
        return;
    }
    let name = format!("warden-test-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&abstract_address(&name)).expect("a socket");
    assert_passes(&inner_test_within("abstract_sockets", &[("SOCKET", name)], Vec::new()));
}

fn status_of(spec: &LaunchSpec, fields: &[&str]) -> Vec<String> {
    let mut warden = Warden::start();
    let mut tenant = warden.start_tenant(1, spec);
    assert_eq!(tenant.stdout.line(), "ready");
    fields.iter().map(|name| process::status_field(tenant.pid, name).expect("it runs")).collect()
}

#[test]
fn there_are_no_privileges() {
    let mut spec = script("echo ready; exec sleep 1000");
    spec.confinement.walls = Some(walls(Vec::new()));
    let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp"];
    let none = "0".repeat(16);
    let none = none.as_str();
    assert_eq!(status_of(&spec, &sets), [none, none, none, none, "1", "2"]);
    if geteuid().is_root() {
        assert_eq!(status_of(&spec, &["CapBnd"]), [none]);
        assert_eq!(status_of(&spec, &["Uid"])[0].split('\t').next(), Some("0"));
    }
}

#[test]
fn a_setuid_program_gives_nothing() {
    if skipped(geteuid().is_root(), "only root can make such a program") {
        return;
    }
    let place = directory("setuid");
    let program = place.join("id");
    fs::copy("/usr/bin/id", &program).expect("a copy");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("ours");
    let mut spec = script(&format!("{} -u", program.display()));
    spec.confinement.user = Some(User { uid: 20_003, gid: 20_004 });
    let output = |spec: &LaunchSpec| {
        let mut warden = Warden::start();
        let mut tenant = warden.start_tenant(1, spec);
        tenant.stdout.rest()
    };
    assert_eq!(output(&spec), "0\n", "without walls it does");
    spec.confinement.walls = Some(walls(vec![rule(Access::Execute, &place)]));
    assert_eq!(output(&spec), "20003\n");
    fs::remove_dir_all(place).expect("ours");
}

#[test]
fn the_kernel_ends_it_before_its_keeper_when_memory_is_short() {
    let score = |pid: Pid| {
        let text = fs::read_to_string(format!("/proc/{}/oom_score_adj", pid.as_raw_pid()));
        text.expect("it runs").trim().parse::<i32>().expect("a number")
    };
    let mut warden = Warden::start();
    let mut spec = script("echo ready; exec sleep 1000");
    spec.confinement.walls = Some(walls(Vec::new()));
    let mut tenant = warden.start_tenant(1, &spec);
    assert_eq!(tenant.stdout.line(), "ready");
    let host = score(warden.pid());
    assert_eq!(score(tenant.keeper), host);
    assert_eq!(score(tenant.pid), (host + 100).min(1_000));
}

#[test]
fn a_user_without_privileges_has_walls_too() {
    if !geteuid().is_root() {
        return;
    }
    support::as_user(65_534, "there_are_no_privileges_of_a_user");
}

#[test]
#[ignore = "run as another user by the test above"]
fn there_are_no_privileges_of_a_user() {
    there_are_no_privileges();
    the_kernel_ends_it_before_its_keeper_when_memory_is_short();
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn priorities() {
    for pid in OUTSIDE.map(pid) {
        let raw = pid.as_raw_pid();
        let one = [1_u64; 16];
        // SAFETY: the set is there, and the other calls take integers.
        let results = unsafe {
            [
                i64::from(libc::setpriority(libc::PRIO_PROCESS, raw.cast_unsigned(), 19)),
                libc::syscall(libc::SYS_sched_setaffinity, raw, size_of_val(&one), one.as_ptr()),
                libc::syscall(libc::SYS_ioprio_set, 1, raw, 3 << 13),
            ]
        };
        assert!(results.iter().all(|result| *result < 0), "{raw}: {results:?}");
    }
    // SAFETY: the call takes integers.
    assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) }, 0, "its own it may");
}

#[test]
fn the_priorities_of_others_stay() {
    with_outside(|outside| {
        assert_passes(&inner_test_within("priorities", outside, Vec::new()));
    });
}

#[test]
fn an_ordinary_tenant_is_not_within_walls() {
    let spec = script("echo ready; sleep 1000");
    assert_eq!(status_of(&spec, &["NoNewPrivs", "Seccomp"]), ["0", "0"]);
}
