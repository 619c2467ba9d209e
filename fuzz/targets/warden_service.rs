//! The whole warden in one process with a host that sends anything: packets of any bytes, launches
//! with too few descriptors or none, stops of any run; keepers are killed in between. Each launch
//! gets exactly one final report, and when the host is gone no child is left.

#![no_main]

use std::collections::HashMap;
use std::ffi::CString;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use fuzz::{hosted, service, sys};
use libfuzzer_sys::fuzz_target;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper};
use warden::confinement::{Group, Hierarchy};
use warden::{Command, Descriptor, LaunchSpec, Report, Stat, StopStage, host};

/// More steps test nothing more, and each launch takes a millisecond.
const STEPS_MAX: usize = 12;
const FDS_MAX: usize = 10;
/// Far longer than any answer takes on a busy machine.
const PATIENCE_S: i64 = 60;

#[derive(Arbitrary, Debug)]
enum Step {
    Launch {
        run: u8,
        program: Program,
    },
    /// A launch with wrong descriptors: fewer, more, or others.
    LaunchWith {
        run: u8,
        fds: u8,
        has_memory_file: bool,
    },
    Stop {
        run: u8,
        is_kill: bool,
    },
    KillKeeper {
        run: u8,
    },
    Listen,
    /// Any bytes. Most have no meaning, which ends the service.
    Packet {
        bytes: Vec<u8>,
        fds: u8,
    },
}

#[derive(Arbitrary, Debug)]
enum Program {
    Ends,
    Stays,
    HasChild,
    IsMissing,
    HasNoDirectory,
    /// In groups that cannot be made, so that keepers wait for launches and the launches fail.
    HasGroups {
        is_v1: bool,
        is_elsewhere: bool,
    },
    IsGarbage(Vec<u8>),
}

fuzz_target!(init: prepare(), |steps: Vec<Step>| {
    let (ours, wardens) = host::connection().expect("a pair of sockets");
    let host = std::thread::spawn(move || Host::new(ours).play(&steps));
    let served = service::serve(service::Served::Host(hosted::Host::new(wardens, getpid())));
    let is_misused = host.join().expect("the host's assertions hold");
    assert_eq!(served.is_err(), is_misused);
    assert!(matches!(sys::reap(), sys::Reaped::NoChildren), "something is left");
});

/// Runs before libFuzzer starts a thread, since the signal must be blocked in all threads.
fn prepare() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set that the other two use; threads made later inherit
    // the mask.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
    set_child_subreaper(Some(getpid())).expect("the warden is one");
}

#[derive(Default)]
struct Told {
    launches: usize,
    keeper: Option<u32>,
    started: usize,
    final_reports: usize,
}

struct Host {
    socket: OwnedFd,
    runs: HashMap<u64, Told>,
}

impl Host {
    fn new(socket: OwnedFd) -> Host {
        Host { socket, runs: HashMap::new() }
    }

    /// Returns whether the warden was sent a packet that it must end for.
    fn play(mut self, steps: &[Step]) -> bool {
        for step in steps.iter().take(STEPS_MAX) {
            if !self.take(step) {
                // The warden has closed its end; only reports that it sent before are left.
                while self.receive(true).is_some() {}
                return true;
            }
        }
        let runs: Vec<u64> = self.runs.keys().copied().collect();
        for run in runs {
            self.send(&Command::Stop { run, stage: StopStage::Kill }.encode(), &[]);
        }
        while self.runs.values().any(|told| told.final_reports < told.launches) {
            let report = self.receive(true).expect("the warden has not gone");
            self.note(report);
        }
        false
    }

    /// Returns false if the step was no packet of the protocol.
    fn take(&mut self, step: &Step) -> bool {
        match step {
            Step::Launch { run, program } => {
                let memory_file = memory_file(program);
                let fds = [memory_file.as_fd(), null(), null()];
                self.launch((*run).into(), &fds);
            }
            Step::LaunchWith { run, fds, has_memory_file } => {
                let memory_file = memory_file(&Program::Ends);
                let mut sent = vec![null(); usize::from(*fds) % FDS_MAX];
                if let Some(first) = sent.first_mut().filter(|_| *has_memory_file) {
                    *first = memory_file.as_fd();
                }
                self.launch((*run).into(), &sent);
            }
            Step::Stop { run, is_kill } => {
                let stage = if *is_kill { StopStage::Kill } else { StopStage::Terminate };
                self.send(&Command::Stop { run: (*run).into(), stage }.encode(), &[]);
            }
            Step::KillKeeper { run } => self.kill_keeper((*run).into()),
            Step::Listen => {
                while let Some(report) = self.receive(false) {
                    self.note(report);
                }
            }
            Step::Packet { bytes, fds } => return self.take_packet(bytes, usize::from(*fds) % FDS_MAX),
        }
        true
    }

    fn take_packet(&mut self, bytes: &[u8], fds: usize) -> bool {
        // A reader takes an empty packet for the end of the connection.
        if bytes.is_empty() {
            return true;
        }
        let command = Command::decode(bytes);
        if let Ok(Command::Launch { run }) = command {
            self.runs.entry(run).or_default().launches += 1;
        }
        self.send(bytes, &vec![null(); fds]);
        command.is_ok()
    }

    fn launch(&mut self, run: u64, fds: &[BorrowedFd<'_>]) {
        self.runs.entry(run).or_default().launches += 1;
        self.send(&Command::Launch { run }.encode(), fds);
    }

    fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        send(&self.socket, bytes, fds);
    }

    fn note(&mut self, report: Report) {
        let told = self.runs.get_mut(&report.run()).expect("of a run that was asked for");
        match report {
            Report::Started { keeper_pid, .. } => {
                told.started += 1;
                told.keeper = Some(keeper_pid);
            }
            Report::LaunchFailed { .. } => told.final_reports += 1,
            Report::Ended { .. } => {
                assert!(told.started > 0, "an end without a start");
                told.started -= 1;
                told.final_reports += 1;
                told.keeper = None;
            }
            Report::Slept { .. } | Report::Awake { .. } => assert!(told.started > 0),
            // Also of one that has not started yet.
            Report::SleepFailed { .. } => assert!(told.final_reports < told.launches),
            other => panic!("{other:?} is a surviving warden's"),
        }
        assert!(told.final_reports <= told.launches, "two final reports");
    }

    /// Kills the keeper only if it is still a child of this process: its pid may have been reused.
    fn kill_keeper(&self, run: u64) {
        let id = self.runs.get(&run).and_then(|told| told.keeper);
        let Some(pid) = id.and_then(|id| Pid::from_raw(id.cast_signed())) else { return };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        let own = getpid().as_raw_pid().cast_unsigned();
        if id.and_then(Stat::of).is_some_and(|stat| stat.parent == own) {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }

    /// The next report; `None` if there is none now, or the warden is gone.
    fn receive(&self, waits: bool) -> Option<Report> {
        loop {
            match host::receive_report(&self.socket, getpid()) {
                Ok(report) => return report,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && waits => {
                    self.wait(PollFlags::IN)
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => panic!("{error}"),
                Err(_) => return None,
            }
        }
    }

    fn wait(&self, flags: PollFlags) {
        wait(&self.socket, flags);
    }
}

fn wait(socket: &OwnedFd, flags: PollFlags) {
    let patience = Timespec { tv_sec: PATIENCE_S, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(socket, flags)], Some(&patience));
    assert_ne!(ready, Ok(0), "the warden does nothing");
}

/// Sends a packet; one to a closed end is lost.
fn send(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    while sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) == Err(Errno::AGAIN) {
        wait(socket, PollFlags::OUT);
    }
}

fn null() -> BorrowedFd<'static> {
    static NULL: OnceLock<OwnedFd> = OnceLock::new();
    let open =
        || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).expect("/dev/null");
    NULL.get_or_init(open).as_fd()
}

fn memory_file(program: &Program) -> OwnedFd {
    let (cwd, command): (&str, &[&str]) = match program {
        Program::Ends => ("/", &["/bin/true"]),
        Program::Stays => ("/", &["/bin/sleep", "1000"]),
        Program::HasChild => ("/", &["/bin/sh", "-c", "sleep 1000 & setsid sleep 1000 & wait"]),
        Program::IsMissing => ("/", &["no-such-program"]),
        Program::HasNoDirectory => ("/no/such/directory", &["/bin/true"]),
        Program::HasGroups { .. } => ("/", &["/bin/true"]),
        Program::IsGarbage(bytes) => return garbage(bytes),
    };
    let string = |text: &str| CString::new(text).expect("no zero byte");
    let argv = command.iter().map(|part| string(part)).collect();
    let env = vec![string("PATH=/usr/bin:/bin")];
    let descriptors = vec![Descriptor::Stdout, Descriptor::Stderr];
    let cwd = string(cwd);
    let mut confinement = warden::Confinement::default();
    if let Program::HasGroups { is_v1, is_elsewhere } = program {
        let hierarchy = if *is_v1 { Hierarchy::V1 } else { Hierarchy::V2 };
        let parent = string(if *is_elsewhere { "/proc/no/group" } else { "/dev/null/group" });
        confinement.groups = vec![Group { hierarchy, parent, settings: vec![string("pids.max=9")] }];
    }
    let (umask, needs_start_script) = (0o022, false);
    let spec = LaunchSpec { cwd, umask, needs_start_script, argv, env, descriptors, confinement };
    host::memory_file(&spec).expect("a memory file")
}

fn garbage(bytes: &[u8]) -> OwnedFd {
    let file = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).expect("a memory file");
    rustix::io::write(&file, bytes).expect("memory");
    file
}
