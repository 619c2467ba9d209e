//! A name with its surviving warden, and the hosts that own it one after the other: connections of
//! this process. A host is lost when its value is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use warden::hello::{Answer, Hello, Welcome, Wish};
use warden::protocol::{Mark, Marks, Report, StopStage};
use warden::ring::{Stream, Written};
use warden::spec::LaunchSpec;
use warden::surviving::{self, Delivery, FoundFiles, KeptFiles};

use super::output::{self, Output};
use super::{DEADLINE, Ended, Tenant, eventually, is_readable, process};

/// A directory for one name. Dropping it ends what is left.
pub struct Name {
    pub directory: PathBuf,
}

impl Name {
    /// A name that no other test has, without a warden.
    pub fn new() -> Name {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("warden-name-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&directory).expect("a new directory");
        Name { directory }
    }

    /// A name with its warden and an owner.
    pub fn owned() -> (Name, Host) {
        let name = Name::new();
        assert!(name.start().success(), "it listens");
        let host = name.own();
        (name, host)
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("name.sock")
    }

    pub fn lock(&self) -> Option<File> {
        let lock = File::create(self.directory.join("name.lock")).expect("the lock's file");
        flock(&lock, FlockOperation::NonBlockingLockExclusive).ok().map(|()| lock)
    }

    /// Starts a warden as a host does that has got the lock.
    pub fn start(&self) -> ExitStatus {
        self.start_with(self.lock().expect("the lock is free"))
    }

    pub fn start_with(&self, lock: File) -> ExitStatus {
        let _ = std::fs::remove_file(self.socket());
        let socket = surviving::bind(&self.socket()).expect("bound");
        let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
        command.stdin(Stdio::from(socket)).stdout(Stdio::from(lock));
        command.status().expect("the warden starts")
    }

    /// Connects and says something. The pid is the warden's.
    pub fn meet(&self, hello: &Hello) -> (OwnedFd, Pid, Welcome) {
        let socket = surviving::connect(&self.socket()).expect("connected");
        let (warden, _) = surviving::peer(&socket).expect("its pid");
        surviving::send_hello(&socket, hello).expect("sent");
        let welcome = welcome(&socket, warden).expect("an answer");
        (socket, warden, welcome)
    }

    pub fn own(&self) -> Host {
        self.own_by(&hello(Wish::Own))
    }

    pub fn own_by(&self, hello: &Hello) -> Host {
        let (socket, warden, welcome) = self.meet(hello);
        assert_eq!(welcome.answer, Answer::Owner, "{welcome:?}");
        Host::of(socket, warden, welcome)
    }

    pub fn look(&self) -> Welcome {
        let (_, _, welcome) = self.meet(&hello(Wish::Look));
        assert_eq!(welcome.answer, Answer::Looked);
        welcome
    }

    /// Ends everything, and waits until it is gone.
    pub fn end(&self) {
        // It may be about to leave already.
        let Ok(socket) = surviving::connect(&self.socket()) else { return };
        let (warden, _) = surviving::peer(&socket).expect("its pid");
        let _ = surviving::send_hello(&socket, &hello(Wish::End));
        assert!(process::wait_for_end(warden, DEADLINE), "the warden did not leave");
    }

    /// Waits until a warden listens.
    pub fn is_found(&self) {
        eventually("a warden listens", || surviving::connect(&self.socket()).is_ok());
    }

    pub fn is_free(&self) -> bool {
        !self.socket().exists() && self.lock().is_some()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Ok(socket) = surviving::connect(&self.socket())
                && let Ok((warden, _)) = surviving::peer(&socket)
            {
                let _ = kill_process(warden, Signal::KILL);
            }
        } else if self.socket().exists() {
            self.end();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Long times: tests that wait for one set it.
pub fn hello(wish: Wish) -> Hello {
    let (fence_after_ms, for_ms, stop_grace_ms) = (60_000, 60_000, 5_000);
    Hello { fence_after_ms, for_ms, stop_grace_ms, ..Hello::new(wish) }
}

/// The next answer; `None` once the connection is closed.
pub fn welcome(socket: impl AsFd, warden: Pid) -> Option<Welcome> {
    assert!(is_readable(&socket, DEADLINE), "no answer in time");
    surviving::receive_welcome(socket, warden).expect("an answer")
}

/// Waits for the end of a connection, over which nothing more may come.
pub fn await_close(socket: impl AsFd) {
    assert!(is_readable(&socket, DEADLINE), "not closed in time");
    let received = rustix::io::read(&socket, &mut [0; 64]);
    assert!(matches!(received, Ok(0) | Err(rustix::io::Errno::CONNRESET)), "{received:?}");
}

/// A memory file with this text.
pub fn record(text: &str) -> OwnedFd {
    let file = rustix::fs::memfd_create("record", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
    rustix::io::write(&file, text.as_bytes()).expect("memory");
    file
}

/// All that a memory file holds.
pub fn contents(file: &OwnedFd) -> Vec<u8> {
    let mut file = File::from(file.try_clone().expect("a copy"));
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).expect("memory");
    bytes
}

/// What a tenant has written to a stream, as the ring has it.
pub fn text_in(written: &Written, stream: Stream) -> String {
    let its = written.pieces.iter().filter(|piece| piece.stream == stream);
    let bytes: Vec<u8> = its.flat_map(|piece| piece.text.iter().copied()).collect();
    String::from_utf8(bytes).expect("text")
}

/// An owner, or one that was.
pub struct Host {
    pub socket: OwnedFd,
    pub warden: Pid,
    pub welcome: Welcome,
    unread: VecDeque<Report>,
}

/// A child that another test forks has a copy of the socket until it executes its program.
impl Drop for Host {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

/// A run that an owner was told of.
pub struct FoundRun {
    pub pid: u32,
    pub keeper_pid: u32,
    pub marks: Marks,
    pub files: FoundFiles,
}

impl FoundRun {
    pub fn main(&self) -> Pid {
        Pid::from_raw(self.pid.cast_signed()).expect("a pid")
    }

    pub fn written(&self) -> Written {
        match &contents(&self.files.ring)[..] {
            [] => Written::default(),
            bytes => Written::from_bytes(bytes).expect("a ring"),
        }
    }

    pub fn into_tenant(self, run: u64) -> Tenant {
        let pid = |raw: u32| Pid::from_raw(raw.cast_signed()).expect("a pid");
        let FoundFiles { stdout, stderr, .. } = self.files;
        let (stdout, stderr) = (Output::of(stdout), Output::of(stderr));
        Tenant { run, pid: pid(self.pid), keeper: pid(self.keeper_pid), stdout, stderr }
    }
}

/// All that an owner was told before the end of the roster.
#[derive(Default)]
pub struct Told {
    pub runs: BTreeMap<u64, FoundRun>,
    pub listeners: BTreeMap<u64, OwnedFd>,
    pub forgotten: u64,
}

impl Host {
    pub fn of(socket: OwnedFd, warden: Pid, welcome: Welcome) -> Host {
        Host { socket, warden, welcome, unread: VecDeque::new() }
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends a launch whose output is kept.
    pub fn launch(&self, run: u64, spec: &LaunchSpec) -> (Output, Output) {
        let (stdout, stdout_writer) = output::pipe();
        let (stderr, stderr_writer) = output::pipe();
        let record = record(&format!("run {run}"));
        let (record, port) = (record.as_fd(), None);
        let files = KeptFiles { record, stdout: stdout.as_fd(), stderr: stderr.as_fd(), port };
        surviving::send_keep(self.socket(), run, &files).expect("sent");
        let memory_file = warden::host::memory_file(spec).expect("memory file");
        let (out, err) = (stdout_writer.as_fd(), stderr_writer.as_fd());
        let sent = warden::host::send_launch(self.socket(), run, memory_file.as_fd(), &[out, err]);
        sent.expect("sent");
        (stdout, stderr)
    }

    /// Starts a tenant.
    pub fn start(&mut self, run: u64, spec: &LaunchSpec) -> Tenant {
        let (stdout, stderr) = self.launch(run, spec);
        let pid = |raw: u32| Pid::from_raw(raw.cast_signed()).expect("a pid");
        match self.report_about(run) {
            Report::Started { pid: main, keeper_pid, .. } => {
                Tenant { run, pid: pid(main), keeper: pid(keeper_pid), stdout, stderr }
            }
            other => panic!("expected run {run} to start, got {other:?}"),
        }
    }

    /// Starts a tenant, which counts as ready.
    pub fn start_ready(&mut self, run: u64, spec: &LaunchSpec) -> Tenant {
        let tenant = self.start(run, spec);
        self.mark(run, Mark::Ready, 0);
        tenant
    }

    pub fn mark(&self, run: u64, mark: Mark, detail: u8) {
        surviving::send_mark(self.socket(), run, mark, detail).expect("sent");
    }

    pub fn stop(&self, run: u64, stage: StopStage) {
        warden::host::send_stop(self.socket(), run, stage).expect("sent");
    }

    pub fn detach(&self) {
        surviving::send_detach(self.socket()).expect("sent");
    }

    /// Ends everything, and waits until the warden is gone.
    pub fn leave(&self) {
        surviving::send_leave(self.socket()).expect("sent");
        assert!(process::wait_for_end(self.warden, DEADLINE), "the warden did not leave");
    }

    /// The next packet; `None` once the connection is closed.
    pub fn delivery(&self) -> Option<Delivery> {
        assert!(is_readable(self.socket(), DEADLINE), "no report in time");
        surviving::receive(self.socket(), self.warden).expect("a report")
    }

    /// What comes first for a new owner.
    pub fn told(&mut self) -> Told {
        let mut told = Told::default();
        loop {
            let mut delivery = self.delivery().expect("the warden is there");
            match delivery.report {
                Report::Found { run, pid, keeper_pid, marks, .. } => {
                    let files = delivery.found_files().expect("its descriptors");
                    told.runs.insert(run, FoundRun { pid, keeper_pid, marks, files });
                }
                Report::FoundListener { slot } => {
                    told.listeners.extend(delivery.fds.pop().map(|listener| (slot, listener)));
                }
                Report::RosterEnd { forgotten } => {
                    told.forgotten = forgotten;
                    return told;
                }
                other => panic!("{other:?} before the end of the roster"),
            }
        }
    }

    /// The next report about a run, or about none with 0; others are kept for later.
    pub fn report_about(&mut self, run: u64) -> Report {
        if let Some(index) = self.unread.iter().position(|report| report.run() == run) {
            return self.unread.remove(index).expect("just found");
        }
        loop {
            match self.delivery().expect("the warden is there").report {
                Report::PredecessorGone | Report::RosterEnd { .. } if run != 0 => {}
                report if report.run() == run => return report,
                report => self.unread.push_back(report),
            }
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

    /// Takes the end of a run.
    pub fn take(&mut self, run: u64) -> Ended {
        let ended = self.expect_ended(run);
        surviving::send_taken(self.socket(), run).expect("sent");
        ended
    }

    /// Asserts that nothing more of a run is to be read.
    pub fn assert_silent(&mut self) {
        let mut reports: Vec<Report> = self.unread.drain(..).collect();
        while is_readable(self.socket(), std::time::Duration::ZERO) {
            reports.push(self.delivery().expect("the warden is there").report);
        }
        reports.retain(|report| report.run() != 0);
        assert_eq!(reports, []);
    }
}

/// Waits until no process has a mark.
pub fn await_gone(mark: &str) {
    eventually("all are gone", || process::marked(mark).is_empty());
}
