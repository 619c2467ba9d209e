//! A whole surviving warden in one process, and hosts that come and go and send anything: hellos of
//! any kind, packets of any bytes, launches, ends without a word. At most one of them is told that it
//! owns the name, each with a higher epoch than the one before; what it is told first is in order;
//! and when all is to end, no child is left and the name is free.

#![no_main]

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use arbitrary::Arbitrary;
use fuzz::{listener::Listener, service, sys};
use libfuzzer_sys::fuzz_target;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{getpid, set_child_subreaper};
use warden::hello::{Answer, HELLO_BYTES, Hello, Welcome, Wish};
use warden::surviving::{self, KeptFiles};
use warden::{Descriptor, LaunchSpec, Mark, PROTOCOL, Report, StopStage, host};

/// More steps test nothing more, and each launch takes a millisecond.
const STEPS_MAX: usize = 16;
/// Far longer than any answer takes on a busy machine.
const PATIENCE_S: i64 = 60;

#[derive(Arbitrary, Debug)]
enum Step {
    /// Another host connects, and says this.
    Connect { wish: u8, is_of_another_protocol: bool, fence_after_ms: u8, for_ms: u8 },
    /// A packet of a host, by its number.
    Send { by: u8, what: What },
    Close { by: u8 },
    Listen { by: u8 },
}

#[derive(Arbitrary, Debug)]
enum What {
    Launch { run: u8, stays: bool, is_kept: bool },
    Stop { run: u8, is_kill: bool },
    Mark { run: u8, mark: u8 },
    Listener { slot: u8, is_dropped: bool },
    Taken { run: u8 },
    Detach,
    Bytes(Vec<u8>),
}

fuzz_target!(init: prepare(), |steps: Vec<Step>| {
    let path = std::env::temp_dir().join(format!("fuzz-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let socket = surviving::bind(&path).expect("bound");
    let listener = Listener::new(socket, null()).expect("it listens");
    let hosts = std::thread::spawn({
        let path = path.clone();
        move || Hosts { path, all: Vec::new(), epoch: 0 }.play(&steps)
    });
    service::serve(service::Served::Name(listener)).expect("no host is of another protocol");
    hosts.join().expect("the assertions of the hosts hold");
    assert!(matches!(sys::reap(), sys::Reaped::NoChildren), "something is left");
    assert!(!path.exists(), "the name is not free");
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

struct Hosts {
    path: PathBuf,
    all: Vec<Host>,
    /// Of the last owner.
    epoch: u64,
}

struct Host {
    socket: OwnedFd,
    is_owner: bool,
    /// It was told all that was kept.
    knows_all: bool,
}

impl Hosts {
    fn play(mut self, steps: &[Step]) {
        // The first owner, so that the warden does not wait for one.
        self.connect(&hello(Wish::Own));
        self.listen(0);
        for step in steps.iter().take(STEPS_MAX) {
            self.take(step);
        }
        self.all.clear();
        // The end of the last owner may not have been seen yet.
        while let Ok(socket) = surviving::connect(&self.path) {
            let _ = surviving::send_hello(&socket, &hello(Wish::End));
            while read_welcome(&socket).is_some() {}
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Connect { wish, is_of_another_protocol, fence_after_ms, for_ms } => {
                let wishes =
                    [Wish::Own, Wish::TakeOver, Wish::Look, Wish::End, Wish::Unknown(u16::MAX)];
                let mut hello = hello(wishes[usize::from(*wish) % wishes.len()]);
                hello.protocol += u16::from(*is_of_another_protocol);
                (hello.fence_after_ms, hello.for_ms) = ((*fence_after_ms).into(), (*for_ms).into());
                self.connect(&hello);
            }
            Step::Send { by, what } => {
                if let Some(index) = self.index(*by) {
                    send(&self.all[index].socket, what);
                }
            }
            Step::Close { by } => {
                if let Some(index) = self.index(*by) {
                    self.all.swap_remove(index);
                }
            }
            Step::Listen { by } => {
                if let Some(index) = self.index(*by) {
                    self.listen(index);
                }
            }
        }
    }

    fn index(&self, by: u8) -> Option<usize> {
        usize::from(by).checked_rem(self.all.len())
    }

    /// Does nothing once the warden has left.
    fn connect(&mut self, hello: &Hello) {
        let Ok(socket) = surviving::connect(&self.path) else { return };
        let _ = surviving::send_hello(&socket, hello);
        rustix::io::ioctl_fionbio(&socket, true).expect("a socket");
        self.all.push(Host { socket, is_owner: false, knows_all: false });
    }

    /// Reads what has come for a host; for the first answer it is waited.
    fn listen(&mut self, index: usize) {
        let host = &mut self.all[index];
        if !host.is_owner {
            wait(&host.socket);
        }
        while !host.is_owner {
            let Some(welcome) = read_welcome(&host.socket) else { return };
            if welcome.answer == Answer::Owner {
                assert!(welcome.epoch > self.epoch, "{welcome:?} after {}", self.epoch);
                (host.is_owner, self.epoch) = (true, welcome.epoch);
            }
        }
        while let Ok(Some(delivery)) = surviving::receive(&host.socket, getpid()) {
            match delivery.report {
                Report::Found { .. } => {
                    assert!(!host.knows_all);
                    assert!(delivery.found_files().is_some());
                }
                Report::FoundListener { .. } => assert_eq!(delivery.fds.len(), 1),
                Report::RosterEnd { .. } => assert!(!std::mem::replace(&mut host.knows_all, true)),
                _ => assert!(host.knows_all && delivery.fds.is_empty()),
            }
        }
    }
}

fn hello(wish: Wish) -> Hello {
    Hello { protocol: PROTOCOL, fence_after_ms: 0, for_ms: 10, ..Hello::new(wish) }
}

/// `None` once the connection is closed, or if there is nothing.
fn read_welcome(socket: &OwnedFd) -> Option<Welcome> {
    let mut packet = [0; HELLO_BYTES];
    let length = rustix::io::read(socket, &mut packet).ok()?;
    Welcome::decode(&packet[..length])
}

fn wait(socket: &OwnedFd) {
    let patience = Timespec { tv_sec: PATIENCE_S, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience));
    assert_ne!(ready, Ok(0), "the warden does nothing");
}

/// Sends a packet; one to a closed end, or to a full one, is lost.
fn send(socket: &OwnedFd, what: &What) {
    let _ = match what {
        What::Launch { run, stays, is_kept } => {
            let run = u64::from(*run) % 4;
            let (stdout, writer) = rustix::pipe::pipe().expect("a pipe");
            if *is_kept {
                let (record, stderr, port) = (null(), null(), Some(null()));
                let (record, stdout, stderr) = (record.as_fd(), stdout.as_fd(), stderr.as_fd());
                let port = port.as_ref().map(AsFd::as_fd);
                let _ = surviving::send_keep(
                    socket,
                    run,
                    &KeptFiles { record, stdout, stderr, port },
                );
            }
            let memory_file = memory_file(*stays);
            host::send_launch(socket, run, memory_file.as_fd(), &[writer.as_fd(); 2])
        }
        What::Stop { run, is_kill } => {
            let stage = if *is_kill { StopStage::Kill } else { StopStage::Terminate };
            host::send_stop(socket, u64::from(*run) % 4, stage)
        }
        What::Mark { run, mark } => {
            let mark = [Mark::Ready, Mark::Retired, Mark::Stopping][usize::from(*mark) % 3];
            surviving::send_mark(socket, u64::from(*run) % 4, mark, 7)
        }
        What::Listener { slot, is_dropped: false } => {
            surviving::send_keep_listener(socket, (*slot).into(), null().as_fd())
        }
        What::Listener { slot, is_dropped: true } => {
            surviving::send_drop_listener(socket, (*slot).into())
        }
        What::Taken { run } => surviving::send_taken(socket, u64::from(*run) % 4),
        What::Detach => surviving::send_detach(socket),
        // A reader takes an empty packet for the end of the connection.
        What::Bytes(bytes) if bytes.is_empty() => Ok(()),
        What::Bytes(bytes) => surviving::transmit(socket, bytes, &[]),
    };
}

fn null() -> OwnedFd {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open("/dev/null", flags, Mode::empty()).expect("/dev/null")
}

fn memory_file(stays: bool) -> OwnedFd {
    let command: &[&str] = if stays { &["/bin/sleep", "1000"] } else { &["/bin/true"] };
    let string = |text: &str| CString::new(text).expect("no zero byte");
    let argv = command.iter().map(|part| string(part)).collect();
    let (env, cwd) = (vec![string("PATH=/usr/bin:/bin")], string("/"));
    let descriptors = vec![Descriptor::Stdout, Descriptor::Stderr];
    let (umask, needs_start_script) = (0o022, false);
    let confinement = warden::Confinement::default();
    let spec = LaunchSpec { cwd, umask, needs_start_script, argv, env, descriptors, confinement };
    host::memory_file(&spec).expect("a memory file")
}
