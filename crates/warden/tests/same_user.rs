//! Other processes of the same user cannot get into the warden and its keepers, nor act in the
//! host's name.

mod support;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getuid, pidfd_getfd, pidfd_open};
use support::{SIGTERM, Warden, eventually, exited, process, script};
use warden::protocol::{LaunchStep, StopStage};

/// A user without privileges, since root may do everything.
const UNPRIVILEGED_USER: u32 = 65_534;

fn as_plain_user(test: &str) {
    support::as_user(UNPRIVILEGED_USER, test);
}

#[test]
fn no_process_of_the_user_gets_into_warden_or_keeper() {
    as_plain_user("attack_warden_and_keeper");
}

#[test]
#[ignore = "run as another user by the test above"]
fn attack_warden_and_keeper() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "echo ready; sleep 1000");
    assert!(open_files(tenant.pid).is_ok(), "a tenant is nothing special");
    for (name, pid) in [("warden", warden.pid()), ("keeper", tenant.keeper)] {
        for file in ["environ", "mem", "maps", "auxv"] {
            let opened = File::open(format!("/proc/{}/{file}", pid.as_raw_pid())).map(drop);
            let denied = opened.map_err(|error| error.kind());
            assert_eq!(denied, Err(io::ErrorKind::PermissionDenied), "{file} of the {name}");
        }
        assert!(open_files(pid).is_err(), "descriptors of the {name}");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it lives");
        for fd in 0..10 {
            let stolen = pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty());
            assert!(stolen.is_err(), "descriptor {fd} of the {name}");
        }
        assert!(!trace(pid), "the {name} is traced");
        // The host can still read the files that it needs.
        assert!(process::ids(pid).is_some() && process::status_field(pid, "PPid").is_some());
        let children = format!("/proc/{0}/task/{0}/children", pid.as_raw_pid());
        assert!(std::fs::read_to_string(children).is_ok_and(|list| !list.is_empty()), "{name}");
    }
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), SIGTERM);
}

fn open_files(pid: Pid) -> io::Result<std::fs::ReadDir> {
    std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_pid()))
}

/// Whether this process could attach to the other as a tracer.
fn trace(pid: Pid) -> bool {
    // SAFETY: with these arguments no memory of ours is touched.
    unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid.as_raw_pid(), 0, 0) == 0 }
}

/// Sends bytes on the host's end of the socket, like a process that has obtained a copy of it.
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
fn send_as_another_process(warden: &Warden, packet: &[u8]) {
    let socket: OwnedFd = warden.socket().try_clone_to_owned().expect("a copy");
    let bytes: String = packet.iter().map(|byte| format!("\\{byte:03o}")).collect();
    let mut command = Command::new("sh");
    command.args(["-c", "printf \"$1\" >&0", "sh", &bytes]).stdin(Stdio::from(socket));
    assert!(command.status().expect("sh runs").success());
}

#[test]
fn only_the_host_is_obeyed() {
    let mut warden = Warden::start();
    let mut tenant = warden.start_script(
        1,
        "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done",
    );
    assert_eq!(tenant.stdout.line(), "ready");
    let kill = warden::Command::Stop { run: 1, stage: StopStage::Kill };
    send_as_another_process(&warden, &kill.encode());
    send_as_another_process(&warden, b"not a packet of the protocol");
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), exited(3));
    assert_eq!(tenant.stdout.rest(), "asked\n");
    assert!(warden.surplus_reports().is_empty());
}

#[test]
fn a_host_that_is_another_user_by_now_gets_nothing_started() {
    if !getuid().is_root() {
        return eprintln!("skipped: only root can start the warden as another user");
    }
    #[allow(clippy::disallowed_methods, reason = "tests start processes")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
    command.uid(UNPRIVILEGED_USER).gid(UNPRIVILEGED_USER).current_dir("/");
    let mut warden = Warden::start_by(command);
    warden.launch(1, &script("echo started"));
    assert_eq!(warden.expect_failure(1), (LaunchStep::CheckUser, libc::EPERM));
}

#[test]
fn what_no_keeper_answers_for_is_gone_when_the_warden_is() {
    #[allow(clippy::disallowed_methods, reason = "tests start processes")]
    let mut command = Command::new("sh");
    // The warden takes the place of the shell, so it has the shell's child, which has a child in a
    // session of its own.
    let script = "(setsid sh -c 'echo $$; exec sleep 1000' & exec sleep 1000) & exec \"$0\"";
    let (mut stdout, writer) = support::output::pipe();
    command.args(["-c", script, env!("CARGO_BIN_EXE_warden")]).stdout(Stdio::from(writer));
    let mut warden = Warden::start_by(command);
    let stray = stdout.pid();
    assert_eq!(warden.close_and_wait(), Some(0));
    eventually("the stray is gone", || !process::exists(stray));
    assert_eq!(stdout.rest(), "", "no process holds its output any more");
}

#[test]
fn a_start_has_the_mask_that_came_with_it() {
    let mut warden = Warden::start();
    for (run, umask) in [(1, 0o077), (2, 0o002)] {
        let spec = warden::LaunchSpec { umask, ..script("umask") };
        let mut tenant = warden.start_tenant(run, &spec);
        assert_eq!(tenant.stdout.rest(), format!("{umask:04o}\n"));
    }
}
