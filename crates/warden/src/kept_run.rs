//! One run that a surviving warden keeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, fstat, memfd_create};
use rustix::io::Errno;

use warden::protocol::{Marks, Report};
use warden::ring::{Ring, Stream};
use warden::socket_failure::SocketFailure;

use crate::clock;

/// More than the memory file of a ring ever holds.
const RING_FILE_BYTES_MAX: usize = 1 << 20;

/// How much is read of a pipe at once: what it holds by default.
const READ_BYTES: usize = 64 << 10;

/// One run.
pub struct Run {
    record: OwnedFd,
    stdout: Pipe,
    stderr: Pipe,
    /// Until it has ended: then its port is free.
    port: Option<OwnedFd>,
    /// Its main process, its keeper and its group, once they were reported.
    pub started: Option<(u32, u32, u64)>,
    /// How far it has come.
    pub marks: Marks,
    /// How it ended, until a host takes that.
    pub end: Option<Report>,
    /// When it is killed, if it does not outlive its host.
    pub kill_due_ms: Option<u64>,
    ring: Ring,
    /// The ring as the present owner got it.
    handed: Option<OwnedFd>,
}

struct Pipe {
    read_end: OwnedFd,
    is_at_end: bool,
}

/// The descriptors of a [`Command::Keep`](warden::Command::Keep), in their order.
pub struct Files {
    record: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    port: Option<OwnedFd>,
}

impl Files {
    /// `None` if they are too few or too many.
    pub fn of(fds: Vec<OwnedFd>) -> Option<Files> {
        let mut fds = fds.into_iter();
        let (record, stdout, stderr) = (fds.next()?, fds.next()?, fds.next()?);
        let port = fds.next();
        fds.next().is_none().then_some(Files { record, stdout, stderr, port })
    }
}

impl Run {
    /// A run that is about to be started.
    pub fn of(files: Files) -> Run {
        let Files { record, stdout, stderr, port } = files;
        let pipe = |read_end| Pipe { read_end, is_at_end: false };
        Run {
            record,
            stdout: pipe(stdout),
            stderr: pipe(stderr),
            port,
            started: None,
            marks: Marks::default(),
            end: None,
            kill_due_ms: None,
            ring: Ring::default(),
            handed: None,
        }
    }

    /// Notes how it ended. Its port is free from now on.
    pub fn ends(&mut self, report: Report) {
        (self.port, self.kill_due_ms, self.end) = (None, None, Some(report));
    }

    /// The pipes that are not at their end.
    pub fn open_pipes(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        let both = [(Stream::Stdout, &self.stdout), (Stream::Stderr, &self.stderr)];
        let open = both.into_iter().filter(|(_, pipe)| !pipe.is_at_end);
        open.map(|(stream, pipe)| (stream, pipe.read_end.as_fd()))
    }

    /// Nobody else reads from now on. What the host before has not told of its ring comes first.
    pub fn begin_to_read(&mut self) {
        if let Some(handed) = self.handed.take() {
            self.ring = contents(&handed).map(|bytes| Ring::after(&bytes)).unwrap_or_default();
        }
        // The host has it non-blocking already. A host that was fenced may still read, too, so that
        // there may be nothing after all.
        for pipe in [&self.stdout, &self.stderr] {
            let flags = fcntl_getfl(&pipe.read_end);
            let _ = flags.and_then(|flags| fcntl_setfl(&pipe.read_end, flags | OFlags::NONBLOCK));
        }
    }

    /// Reads what has come.
    pub fn read(&mut self, stream: Stream) {
        let pipe = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let mut room = vec![0; READ_BYTES];
        match rustix::io::read(&pipe.read_end, &mut room) {
            Ok(0) => pipe.is_at_end = true,
            Ok(length) => self.ring.push(clock::unix_ms(), stream, &room[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => pipe.is_at_end = true,
        }
    }

    /// Hands it to a new owner by `send`.
    pub fn hand_over(
        &mut self,
        run: u64,
        send: impl FnOnce(Report, &[BorrowedFd<'_>]) -> Result<(), SocketFailure>,
    ) -> Result<(), SocketFailure> {
        let ring = memfd_create("abs-ring", MemfdFlags::CLOEXEC)?;
        if !self.ring.is_empty() {
            write_all(&ring, &self.ring.written().to_bytes())?;
        }
        let (pid, keeper_pid, group) = self.started.unwrap_or_default();
        let found = Report::Found { run, pid, keeper_pid, group, marks: self.marks };
        let fds = [&self.record, &ring, &self.stdout.read_end, &self.stderr.read_end];
        let fds: Vec<BorrowedFd<'_>> = fds.into_iter().chain(&self.port).map(AsFd::as_fd).collect();
        send(found, &fds)?;
        self.ring = Ring::default();
        self.handed = Some(ring);
        Ok(())
    }
}

fn contents(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let bytes = usize::try_from(fstat(file)?.st_size).unwrap_or(usize::MAX);
    let mut contents = vec![0; bytes.min(RING_FILE_BYTES_MAX)];
    let mut read = 0;
    while read < contents.len() {
        match rustix::io::pread(file, &mut contents[read..], read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    contents.truncate(read);
    Ok(contents)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        bytes = &bytes[rustix::io::write(file, bytes)?..];
    }
    Ok(())
}
