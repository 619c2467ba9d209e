//! Freezes a control group of the second version (Linux 5.2). A frozen process can be killed.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use crate::group_files::{Failure, put};

/// Room for `cgroup.events`, a few short lines.
const EVENTS_ROOM_BYTES: usize = 256;

/// The freezer of one tenant's group.
pub struct Freezer {
    directory: PathBuf,
    /// `cgroup.events`, which has an event when what it says has changed since it was read.
    events: OwnedFd,
    /// How a process in the group, or below it, is told by its own file: `/<parent>/<number>`.
    end_of_path: String,
}

impl Freezer {
    /// `None` where the kernel has none.
    pub fn of(directory: PathBuf) -> Option<Freezer> {
        let mut names = directory.components().rev().map(|part| part.as_os_str().to_str());
        let (number, parent) = (names.next()??, names.next()??);
        let end_of_path = format!("/{parent}/{number}");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let open = |file: &str| rustix::fs::open(directory.join(file), flags, Mode::empty()).ok();
        open("cgroup.freeze")?;
        let events = open("cgroup.events")?;
        Some(Freezer { directory, events, end_of_path })
    }

    /// Begins to freeze.
    pub fn freeze(&self) -> Result<(), Failure> {
        put(&self.directory.join("cgroup.freeze"), b"1")
    }

    /// Lets all of it run.
    pub fn thaw(&self) {
        let _ = put(&self.directory.join("cgroup.freeze"), b"0");
    }

    /// Whether no process of the group runs.
    pub fn is_frozen(&self) -> bool {
        let mut room = [0; EVENTS_ROOM_BYTES];
        let length = rustix::io::pread(&self.events, &mut room, 0).unwrap_or(0);
        room[..length].split(|byte| *byte == b'\n').any(|line| line == b"frozen 1")
    }

    /// Has the event `PRI` when [`is_frozen`](Self::is_frozen) may have changed since it was read.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Whether a process is in the group, or in one below it: it may have been moved elsewhere.
    pub fn holds(&self, pid: Pid) -> bool {
        let groups = fs::read_to_string(format!("{}/cgroup", pid.as_raw_pid())).unwrap_or_default();
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"));
        path.and_then(|path| path.split_once(self.end_of_path.as_str()))
            .is_some_and(|(_, below)| below.is_empty() || below.starts_with('/'))
    }
}
