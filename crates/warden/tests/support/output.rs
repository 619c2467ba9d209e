//! The read end of a tenant's output.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::{DEADLINE, is_readable};

pub struct Output {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

pub fn pipe() -> (Output, OwnedFd) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("pipe");
    (Output { fd: reader, buffer: Vec::new() }, writer)
}

impl Output {
    /// Reads a pipe from here on.
    pub fn of(fd: OwnedFd) -> Output {
        Output { fd, buffer: Vec::new() }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            assert!(self.fill(), "the output ended before a whole line: {:?}", self.buffer);
        }
    }

    /// The next line, which is a pid.
    pub fn pid(&mut self) -> Pid {
        let line = self.line();
        Pid::from_raw(line.trim().parse().expect("a pid")).expect("a positive pid")
    }

    /// All output up to its end.
    pub fn rest(&mut self) -> String {
        while self.fill() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    fn fill(&mut self) -> bool {
        assert!(is_readable(&self.fd, DEADLINE), "no output in time");
        let mut room = [0; 65_536];
        let length =
            rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut room)).expect("read");
        self.buffer.extend_from_slice(&room[..length]);
        length > 0
    }
}
