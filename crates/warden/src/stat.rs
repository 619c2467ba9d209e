//! Reads the line of `/proc/<pid>/stat`: what the kernel tells of a process.
//!
//! Parsed by hand: the addon reads thousands of them at a time (7 µs each, 11 µs through the crate
//! `procfs`), and the warden is to stay small (reading one file through `procfs` makes its program
//! a sixth larger). `crates/linux/src/process/proc_stat.rs` tests that `procfs` reads the same.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;

use crate::socket_failure::SocketFailure;

const MS_PER_S: u64 = 1_000;

/// Room for the longest line, which is shorter.
const LINE_ROOM_BYTES: usize = 1024;

/// A process as the kernel tells it. A pid of 0 means a process in a PID namespace that is not
/// visible from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// The CPU time of all its threads.
    pub own_ticks: u64,
    /// The CPU time of the children that it has reaped.
    pub waited_ticks: u64,
    /// When it was started, counted from boot.
    pub started_at_ticks: u64,
    /// The memory it has in RAM.
    pub rss_pages: u64,
    /// Where its stack begins, which differs for each program that it executes; 0 if this process
    /// may not see it.
    pub stack_start: u64,
    /// It is a zombie: it only waits to be reaped, and signals have no effect.
    pub has_ended: bool,
    /// It was stopped, by a signal or a debugger.
    pub is_stopped: bool,
}

impl Stat {
    /// When it was started, counted from boot, to a hundredth of a second.
    pub fn started_since_boot_ms(&self) -> u64 {
        self.started_at_ticks.saturating_mul(MS_PER_S) / rustix::param::clock_ticks_per_second()
    }

    /// The CPU time of all its threads.
    pub fn own_cpu_ms(&self) -> u64 {
        self.own_ticks.saturating_mul(MS_PER_S) / rustix::param::clock_ticks_per_second()
    }

    /// Reads a process; `None` if there is none, or it cannot be read now.
    pub fn of(pid: u32) -> Option<Stat> {
        let proc = open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .ok()?;
        Stat::read(proc.as_fd(), pid).ok().flatten()
    }

    /// Reads a process below an open `/proc`. An error is a shortage, and means nothing about the
    /// process.
    pub fn read(proc: BorrowedFd<'_>, pid: u32) -> Result<Option<Stat>, Errno> {
        let mut room = [0; LINE_ROOM_BYTES];
        match read_line(proc, pid, &mut room) {
            Ok(length) => Ok(parse(&room[..length], pid)),
            Err(errno) if SocketFailure::from(errno) == SocketFailure::Passing => Err(errno),
            Err(_) => Ok(None),
        }
    }
}

fn read_line(proc: BorrowedFd<'_>, pid: u32, room: &mut [u8]) -> Result<usize, Errno> {
    let file =
        openat(proc, format!("{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::read(&file, room)
}

/// Parses a line; `None` if it is not one of `stat`.
///
/// The name, in parentheses, can itself contain spaces, parentheses and invalid UTF-8: the fields
/// start behind the last closing parenthesis.
pub fn parse(line: &[u8], pid: u32) -> Option<Stat> {
    let name_end = line.iter().rposition(|&byte| byte == b')')?;
    // proc(5) numbers them from 1; the one after the name is number 3.
    let mut fields = std::str::from_utf8(&line[name_end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let mut id = |skipped: usize| fields.nth(skipped)?.parse::<u32>().ok();
    let (parent, group, session) = (id(0)?, id(0)?, id(0)?);
    let mut number = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
    // No kernel counts so far, but a text can hold any number.
    let own_ticks = number(7)?.saturating_add(number(0)?);
    let waited_ticks = number(0)?.saturating_add(number(0)?);
    let threads = number(2)?;
    let started_at_ticks = number(1)?;
    let rss_pages = number(1)?;
    let stack_start = number(3).unwrap_or(0);
    // The state is that of the first thread. Others may outlive it, and then the process has not
    // ended.
    let has_ended = matches!(state, "Z" | "X" | "x") && threads <= 1;
    let is_stopped = matches!(state, "T" | "t");
    Some(Stat {
        pid,
        parent,
        group,
        session,
        own_ticks,
        waited_ticks,
        started_at_ticks,
        rss_pages,
        stack_start,
        has_ended,
        is_stopped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str =
        "5 7 6 0 -1 4194304 1 2 3 4 11 22 33 44 20 0 1 0 987 1000 55 18446744073709551615 1 2 66";

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let expected = Stat {
            pid: 7,
            parent: 5,
            group: 7,
            session: 6,
            own_ticks: 33,
            waited_ticks: 77,
            started_at_ticks: 987,
            rss_pages: 55,
            stack_start: 66,
            has_ended: false,
            is_stopped: false,
        };
        for name in ["sh", "a) S (b)", "a b) R 1 2 ", "\u{fffd}\n(() "] {
            assert_eq!(
                parse(format!("7 ({name}) S {REST}").as_bytes(), 7),
                Some(expected),
                "{name:?}"
            );
        }
        assert_eq!(parse([b"7 (\xff) S ", REST.as_bytes()].concat().as_slice(), 7), Some(expected));
        for broken in ["", "7 (sh", "7 (sh)", "7 (sh) S", "7 (sh) S 5 7"] {
            assert_eq!(parse(broken.as_bytes(), 7), None, "{broken:?}");
        }
    }

    #[test]
    fn numbers_that_no_kernel_prints_are_the_largest_and_no_panic() {
        let largest = u64::MAX.to_string();
        let line = format!(
            "7 (sh) S {}",
            REST.replace(" 11 22 33 44 ", &format!(" {largest} 22 33 {largest} "))
        );
        let stat =
            parse(line.replace(" 987 ", &format!(" {largest} ")).as_bytes(), 7).expect("a line");
        assert_eq!((stat.own_ticks, stat.waited_ticks), (u64::MAX, u64::MAX));
        assert!(stat.started_since_boot_ms() > 0);
    }

    #[test]
    fn a_process_has_ended_when_its_last_thread_has() {
        for (state, threads, has_ended) in
            [("S", 1, false), ("Z", 1, true), ("Z", 2, false), ("X", 0, true)]
        {
            let rest = REST.replace(" 20 0 1 ", &format!(" 20 0 {threads} "));
            let stat = parse(format!("7 (sh) {state} {rest}").as_bytes(), 7).expect("a line");
            assert_eq!(stat.has_ended, has_ended, "{state} with {threads}");
        }
    }
}
