//! Starts the real warden with one end of a socket pair as its descriptor 0, and awaits its
//! reports with a deadline.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_methods, reason = "tests start processes and measure time")]

pub mod groups;
pub mod output;
pub mod process;
pub mod surviving;
pub mod walls;

use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, getuid, kill_process};
use warden::Confinement;
use warden::protocol::{Depth, LaunchStep, Report, StopStage};
use warden::spec::{Descriptor, LaunchSpec};

use output::Output;

/// Far longer than any step takes on a busy machine; only a failing test waits for it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Runs one of a file's tests, which is ignored otherwise, as a user without privileges: as `user`
/// if the tests run as root, and else as the present user.
pub fn as_user(user: u32, test: &str) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--ignored", "--nocapture"]).current_dir("/");
    if getuid().is_root() {
        command.uid(user).gid(user);
    }
    match command.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
        }
        // Only the owner may enter the checkout's directory.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: {error}")
        }
        Err(error) => panic!("{error}"),
    }
}

/// A warden with its socket. Dropping it closes the socket and asserts that the warden exits by
/// itself.
pub struct Warden {
    child: Child,
    socket: Option<OwnedFd>,
    unread: VecDeque<Report>,
}

/// A started run.
pub struct Tenant {
    pub run: u64,
    pub pid: Pid,
    pub keeper: Pid,
    pub stdout: Output,
    pub stderr: Output,
}

/// The final report about a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub cpu_us: u64,
    pub out_of_memory: bool,
}

impl Ended {
    pub fn how(&self) -> (Option<i32>, Option<i32>) {
        (self.exit_code, self.signal)
    }
}

pub const SIGKILL: (Option<i32>, Option<i32>) = (None, Some(9));
pub const SIGTERM: (Option<i32>, Option<i32>) = (None, Some(15));

pub fn exited(code: i32) -> (Option<i32>, Option<i32>) {
    (Some(code), None)
}

/// A shell script as a tenant, in `/` and with the usual `PATH`.
pub fn script(text: &str) -> LaunchSpec {
    spec(&["/bin/sh", "-c", text])
}

pub fn spec(argv: &[&str]) -> LaunchSpec {
    LaunchSpec {
        cwd: c"/".to_owned(),
        umask: 0o022,
        needs_start_script: false,
        argv: argv.iter().map(|argument| c_string(argument)).collect(),
        env: vec![c_string("PATH=/usr/local/bin:/usr/bin:/bin")],
        descriptors: vec![Descriptor::Stdout, Descriptor::Stderr],
        confinement: Confinement::default(),
    }
}

pub fn c_string(text: &str) -> CString {
    CString::new(text).expect("no zero byte")
}

impl Warden {
    pub fn start() -> Warden {
        Warden::start_by(Command::new(env!("CARGO_BIN_EXE_warden")))
    }

    /// Starts the warden by a command that finally executes it.
    pub fn start_by(mut command: Command) -> Warden {
        let (socket, wardens_end) = warden::host::connection().expect("socket pair");
        let child = command.stdin(Stdio::from(wardens_end)).spawn().expect("the warden starts");
        // The command holds a copy of the warden's end, which would hide that the warden is gone.
        drop(command);
        Warden { child, socket: Some(socket), unread: VecDeque::new() }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_ref().expect("not closed yet").as_fd()
    }

    /// Sends a launch and returns the read ends of its output.
    pub fn launch(&self, run: u64, spec: &LaunchSpec) -> (Output, Output) {
        let memory_file = warden::host::memory_file(spec).expect("memory file");
        let (stdout, stdout_writer) = output::pipe();
        let (stderr, stderr_writer) = output::pipe();
        let (out, err) = (stdout_writer.as_fd(), stderr_writer.as_fd());
        let sent = warden::host::send_launch(self.socket(), run, memory_file.as_fd(), &[out, err]);
        sent.expect("launch is sent");
        (stdout, stderr)
    }

    /// Launches a tenant and waits until it runs.
    pub fn start_tenant(&mut self, run: u64, spec: &LaunchSpec) -> Tenant {
        let (stdout, stderr) = self.launch(run, spec);
        let (pid, keeper) = self.expect_started(run);
        Tenant { run, pid, keeper, stdout, stderr }
    }

    pub fn start_script(&mut self, run: u64, text: &str) -> Tenant {
        self.start_tenant(run, &script(text))
    }

    pub fn stop(&self, run: u64, stage: StopStage) {
        warden::host::send_stop(self.socket(), run, stage).expect("stop is sent");
    }

    pub fn sleep(&self, run: u64, depth: Depth) {
        warden::host::send_sleep(self.socket(), run, depth).expect("the order is sent");
    }

    pub fn wake(&self, run: u64) {
        warden::host::send_wake(self.socket(), run).expect("the order is sent");
    }

    /// Lets a tree sleep; returns how deep it does, and its memory. As a host, it asks again where a
    /// busy machine did not get it to stand in time.
    pub fn let_sleep(&mut self, run: u64, depth: Depth) -> (Depth, u64) {
        let begin = Instant::now();
        loop {
            self.sleep(run, depth);
            match self.report_about(run) {
                Report::SleepFailed { errno, .. }
                    if errno == rustix::io::Errno::TIMEDOUT.raw_os_error()
                        && begin.elapsed() < DEADLINE => {}
                Report::Slept { depth, rss_bytes, .. } => return (depth, rss_bytes),
                other => panic!("expected run {run} to sleep, got {other:?}"),
            }
        }
    }

    pub fn expect_started(&mut self, run: u64) -> (Pid, Pid) {
        let pid = |raw: u32| Pid::from_raw(raw.cast_signed()).expect("a pid");
        match self.report_about(run) {
            Report::Started { pid: main, keeper_pid, .. } => (pid(main), pid(keeper_pid)),
            other => panic!("expected run {run} to start, got {other:?}"),
        }
    }

    pub fn expect_ended(&mut self, run: u64) -> Ended {
        match self.report_about(run) {
            Report::Ended { exit_code, signal, cpu_us, out_of_memory, .. } => {
                Ended { exit_code, signal, cpu_us, out_of_memory }
            }
            other => panic!("expected run {run} to end, got {other:?}"),
        }
    }

    pub fn expect_failure(&mut self, run: u64) -> (LaunchStep, i32) {
        match self.report_about(run) {
            Report::LaunchFailed { step, errno, .. } => (step, errno),
            other => panic!("expected run {run} to fail, got {other:?}"),
        }
    }

    /// The next report about a run; those about others are kept for later.
    pub fn report_about(&mut self, run: u64) -> Report {
        if let Some(index) = self.unread.iter().position(|report| report.run() == run) {
            return self.unread.remove(index).expect("just found");
        }
        loop {
            let report = self
                .next_report()
                .unwrap_or_else(|| panic!("the warden is gone, run {run} is open"));
            if report.run() == run {
                return report;
            }
            self.unread.push_back(report);
        }
    }

    fn next_report(&self) -> Option<Report> {
        assert!(is_readable(self.socket(), DEADLINE), "no report in time");
        warden::host::receive_report(self.socket(), self.pid()).expect("a report")
    }

    /// The reports that no call has returned yet, without waiting for more.
    pub fn surplus_reports(&mut self) -> Vec<Report> {
        let mut reports: Vec<Report> = self.unread.drain(..).collect();
        while is_readable(self.socket(), Duration::ZERO) {
            reports.extend(self.next_report());
        }
        reports
    }

    /// Closes the socket, as the end of the host does.
    pub fn close(&mut self) {
        self.socket = None;
    }

    /// Closes the socket, and waits until the warden is gone. Returns its exit status.
    pub fn close_and_wait(&mut self) -> Option<i32> {
        self.close();
        self.wait_for_exit()
    }

    pub fn wait_for_exit(&mut self) -> Option<i32> {
        assert!(process::wait_for_end(self.pid(), DEADLINE), "the warden did not leave");
        self.child.wait().expect("its status").code()
    }

    pub fn kill(&mut self) {
        kill_process(self.pid(), Signal::KILL).expect("the warden is there");
        self.child.wait().expect("its status");
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        self.socket = None;
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        let left = process::wait_for_end(self.pid(), DEADLINE);
        if !left {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        assert!(
            left || std::thread::panicking(),
            "the warden did not leave when its host was gone"
        );
    }
}

pub fn is_readable(fd: impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).expect("a short time");
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout))).expect("poll") > 0
}

/// Waits for a condition that no descriptor announces.
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    within(DEADLINE, what, condition);
}

pub fn within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
