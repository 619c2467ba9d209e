//! A launch that fails reports the step and the reason, and leaves no process.

mod support;

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use support::{Warden, c_string, exited, process, script, spec};
use warden::protocol::{LAUNCH_FDS_MAX, LaunchStep};
use warden::spec::LaunchSpec;

const ENOENT: i32 = 2;
const E2BIG: i32 = 7;
const EACCES: i32 = 13;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const ETXTBSY: i32 = 26;
const ELOOP: i32 = 40;
const EPROTO: i32 = 71;

fn failure_of(spec: &LaunchSpec) -> (LaunchStep, i32) {
    let mut warden = Warden::start();
    let (mut stdout, _stderr) = warden.launch(1, spec);
    let failure = warden.expect_failure(1);
    assert_eq!(stdout.rest(), "");
    let children =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", warden.pid().as_raw_pid()));
    assert_eq!(children.unwrap_or_default().trim(), "", "the keeper is left");
    assert_eq!(warden.surplus_reports(), []);
    failure
}

/// A directory of its own for each test.
fn directory(name: &str) -> PathBuf {
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn file(path: PathBuf, content: &str, mode: u32) -> String {
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_missing_program() {
    assert_eq!(failure_of(&spec(&["no-such-program"])), (LaunchStep::Execute, ENOENT));
    assert_eq!(failure_of(&spec(&["/no/such/program"])), (LaunchStep::Execute, ENOENT));
    assert_eq!(failure_of(&spec(&[""])), (LaunchStep::Execute, ENOENT));
}

#[test]
fn a_missing_directory() {
    let missing = LaunchSpec { cwd: c"/no/such/directory".to_owned(), ..script("true") };
    assert_eq!(failure_of(&missing), (LaunchStep::ChangeDirectory, ENOENT));
    let no_directory = LaunchSpec { cwd: c"/etc/passwd".to_owned(), ..script("true") };
    assert_eq!(failure_of(&no_directory), (LaunchStep::ChangeDirectory, ENOTDIR));
}

#[test]
fn a_directory_without_permission() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let closed = directory("closed");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let spec = LaunchSpec { cwd: c_string(closed.to_str().unwrap()), ..script("true") };
    assert_eq!(failure_of(&spec), (LaunchStep::ChangeDirectory, EACCES));
}

#[test]
fn a_file_that_is_not_executable() {
    let directory = directory("not-executable");
    let path = file(directory.join("program"), "#!/bin/sh\n", 0o644);
    assert_eq!(failure_of(&spec(&[&path])), (LaunchStep::Execute, EACCES));
    // A program that is found without permission counts more than its absence in later
    // directories.
    let env = vec![c_string(&format!("PATH={}:/usr/bin", directory.display()))];
    assert_eq!(
        failure_of(&LaunchSpec { env, ..spec(&["program"]) }),
        (LaunchStep::Execute, EACCES)
    );
}

#[test]
fn arguments_that_are_too_long() {
    let long = "x".repeat(200_000);
    assert_eq!(failure_of(&spec(&["/bin/true", &long])), (LaunchStep::Execute, E2BIG));
}

#[test]
fn a_script_whose_interpreter_is_missing() {
    let path = file(directory("interpreter").join("program"), "#!/no/such/interpreter\n", 0o755);
    assert_eq!(failure_of(&spec(&[&path])), (LaunchStep::Execute, ENOENT));
}

#[test]
fn a_program_that_is_a_directory() {
    let path = directory("program-that-is-none");
    assert_eq!(failure_of(&spec(&[path.to_str().unwrap()])), (LaunchStep::Execute, EACCES));
}

#[test]
fn a_program_that_leads_to_itself() {
    let path = directory("loop").join("program");
    std::os::unix::fs::symlink(&path, &path).unwrap();
    assert_eq!(failure_of(&spec(&[path.to_str().unwrap()])), (LaunchStep::Execute, ELOOP));
}

#[test]
fn a_program_that_is_being_written() {
    let path = directory("busy").join("program");
    fs::copy("/bin/true", &path).unwrap();
    let _writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    assert_eq!(failure_of(&spec(&[path.to_str().unwrap()])), (LaunchStep::Execute, ETXTBSY));
}

#[test]
fn a_memory_file_that_is_no_specification() {
    let mut warden = Warden::start();
    let (_reader, writer) = support::output::pipe();
    let garbage = rustix::fs::memfd_create("garbage", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&garbage, b"garbage").unwrap();
    let outputs = [writer.as_fd(), writer.as_fd()];
    warden::host::send_launch(warden.socket(), 1, garbage.as_fd(), &outputs).unwrap();
    assert_eq!(warden.expect_failure(1), (LaunchStep::ReadSpec, EPROTO));
    // A pipe cannot be read with `pread`.
    let pipe = writer.as_fd();
    warden::host::send_launch(warden.socket(), 2, pipe, &[pipe, pipe]).unwrap();
    assert_eq!(warden.expect_failure(2).0, LaunchStep::ReadSpec);
}

#[test]
fn descriptors_that_are_missing() {
    let mut warden = Warden::start();
    let packet = warden::Command::Launch { run: 5 }.encode();
    rustix::net::send(warden.socket(), &packet, rustix::net::SendFlags::NOSIGNAL).unwrap();
    assert_eq!(warden.expect_failure(5), (LaunchStep::ReadSpec, EPROTO));
}

#[test]
fn other_descriptors_than_the_launch_speaks_of() {
    let mut warden = Warden::start();
    let (_reader, writer) = support::output::pipe();
    let memory_file = warden::host::memory_file(&script("true")).unwrap();
    for (run, count) in [(1, 0), (2, 1), (3, 3), (4, LAUNCH_FDS_MAX - 1)] {
        let descriptors = vec![writer.as_fd(); count];
        warden::host::send_launch(warden.socket(), run, memory_file.as_fd(), &descriptors).unwrap();
        assert_eq!(warden.expect_failure(run), (LaunchStep::ReadSpec, EPROTO), "{count}");
    }
    let surplus = vec![writer.as_fd(); LAUNCH_FDS_MAX];
    let sent = warden::host::send_launch(warden.socket(), 5, memory_file.as_fd(), &surplus);
    assert!(sent.is_err(), "more than a launch has");
}

#[test]
fn a_part_that_the_warden_does_not_know() {
    let mut warden = Warden::start();
    let (_reader, writer) = support::output::pipe();
    let mut bytes = script("true").to_bytes();
    bytes.extend([99, 0, 0, 0, 0, 0, 0, 0]);
    let length = u32::try_from(bytes.len() - 8).unwrap();
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    let memory_file = rustix::fs::memfd_create("launch", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&memory_file, &bytes).unwrap();
    let outputs = [writer.as_fd(), writer.as_fd()];
    warden::host::send_launch(warden.socket(), 1, memory_file.as_fd(), &outputs).unwrap();
    assert_eq!(warden.expect_failure(1), (LaunchStep::ReadSpec, EPROTO));
}

#[test]
fn a_run_that_is_alive_already() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "sleep 1000");
    warden.launch(1, &script("true"));
    assert_eq!(warden.expect_failure(1), (LaunchStep::ReadSpec, EEXIST));
    assert!(process::exists(tenant.pid));
}

#[test]
fn the_position_of_the_memory_file_does_not_matter() {
    let mut warden = Warden::start();
    let (mut reader, writer) = support::output::pipe();
    let memory_file = warden::host::memory_file(&script("echo read")).unwrap();
    for position in [0, 5, 1_000_000] {
        rustix::fs::seek(&memory_file, rustix::fs::SeekFrom::Start(position)).unwrap();
        let (spec, out) = (memory_file.as_fd(), writer.as_fd());
        warden::host::send_launch(warden.socket(), position, spec, &[out, out]).unwrap();
        warden.expect_started(position);
        assert_eq!(warden.expect_ended(position).how(), exited(0));
        assert_eq!(reader.line(), "read");
    }
}

#[test]
fn programs_are_searched_as_the_shell_does() {
    let directory = directory("search");
    let mut warden = Warden::start();
    fs::create_dir(directory.join("denied")).unwrap();
    file(directory.join("denied/tool"), "", 0o644);
    file(directory.join("tool"), "echo $0 $1\n", 0o755);
    let with_path = |run: u64, path: &str, program: &str, warden: &mut Warden| {
        let env = vec![c_string(&format!("PATH={path}"))];
        let cwd = c_string(directory.to_str().unwrap());
        let mut tenant =
            warden.start_tenant(run, &LaunchSpec { cwd, env, ..spec(&[program, "argument"]) });
        tenant.stdout.rest()
    };
    let absolute = directory.display();
    // A script without an interpreter line runs in the shell; denied and missing directories are
    // skipped.
    let path = format!("/missing:/etc/passwd:denied:{absolute}:/bin");
    assert_eq!(with_path(1, &path, "tool", &mut warden), format!("{absolute}/tool argument\n"));
    // An empty entry of PATH is the working directory, and a program with a slash is relative to
    // it.
    assert_eq!(with_path(2, "/missing:", "tool", &mut warden), "tool argument\n");
    assert_eq!(with_path(3, "/missing", "./tool", &mut warden), "./tool argument\n");
    // Without PATH a default is used.
    let mut tenant =
        warden.start_tenant(4, &LaunchSpec { env: vec![], ..spec(&["echo", "found"]) });
    assert_eq!(tenant.stdout.rest(), "found\n");
}
