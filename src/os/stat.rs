//! One line of `/proc/<pid>/stat`: what the kernel says of a process.

use rustix::fs::{Mode, OFlags, open, openat};
use std::os::fd::{AsFd, BorrowedFd};

const MS_PER_S: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: u32,
    pub parent: u32,
    pub session: u32,
    pub own_ticks: u64,
    pub waited_ticks: u64,
    pub started_at_ticks: u64,
    pub rss_pages: u64,
    pub is_zombie: bool,
}

impl Stat {
    /// When it was started, counted from the start of the machine, to a hundredth of a second.
    pub fn started_since_boot_ms(&self) -> u64 {
        self.started_at_ticks * MS_PER_S / rustix::param::clock_ticks_per_second()
    }

    /// Looks at a process; `None` if there is none.
    pub fn of(pid: u32) -> Option<Stat> {
        let proc = open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        Stat::read(proc.as_fd(), pid)
    }

    /// The same, below a `/proc` that is open already.
    pub fn read(proc: BorrowedFd, pid: u32) -> Option<Stat> {
        let file =
            openat(proc, format!("{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut buffer = [0u8; 1024];
        let length = rustix::io::read(&file, &mut buffer).ok()?;
        parse(std::str::from_utf8(&buffer[..length]).ok().or_else(|| after_name(&buffer[..length]))?, pid)
    }
}

/// The name in parentheses may hold any bytes; only what follows it is needed.
fn after_name(stat: &[u8]) -> Option<&str> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(&stat[end..]).ok()
}

fn parse(text: &str, pid: u32) -> Option<Stat> {
    // Fields are numbered from 1 in proc(5); the one after the name is number 3.
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let mut number = |skip: usize| fields.nth(skip)?.parse::<u64>().ok();
    let own_ticks = number(7)? + number(0)?;
    let waited_ticks = number(0)? + number(0)?;
    let started_at_ticks = number(4)?;
    let rss_pages = number(1)?;
    Some(Stat { pid, parent, session, own_ticks, waited_ticks, started_at_ticks, rss_pages, is_zombie })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line =
            "7 (a) S (b)) R 5 7 6 0 -1 4194304 1 2 3 4 11 22 33 44 20 0 1 0 987 1000 55 18446744073709551615";
        let stat = parse(line, 7).unwrap();
        let expected = Stat {
            pid: 7,
            parent: 5,
            session: 6,
            own_ticks: 33,
            waited_ticks: 77,
            started_at_ticks: 987,
            rss_pages: 55,
            is_zombie: false,
        };
        assert_eq!(stat, expected);
    }
}
