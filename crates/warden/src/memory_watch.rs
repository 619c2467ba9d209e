//! Hears from the kernel that a group of the first version has no more memory to give. Of its
//! processes the kernel then kills the largest one only, and the keeper the whole tree.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags};

use crate::group::Groups;
use crate::group_files::put;

/// The time between two looks whether a process was killed.
pub const LOOK_MS: u64 = 2;

/// The kernel tells before it kills. It also tells when a group above has no more memory, and then
/// may find what it kills elsewhere. It needs a few milliseconds for that.
const LOOKS: u32 = 100;

/// The watch over the memory of a tenant.
pub struct MemoryWatch {
    event: OwnedFd,
    looks_left: u32,
}

impl MemoryWatch {
    /// Watches over the group of the first version that limits memory, if there is one. Where the
    /// kernel does not offer that, the tree is killed when its main process is.
    pub fn over(groups: &Groups) -> Option<MemoryWatch> {
        let directory = groups.memory_of_v1()?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let control =
            rustix::fs::open(directory.join("memory.oom_control"), flags, Mode::empty()).ok()?;
        let order = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        put(&directory.join("cgroup.event_control"), order.as_bytes()).ok()?;
        Some(MemoryWatch { event, looks_left: 0 })
    }

    /// Is readable when the group has no more memory.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Notes the event.
    pub fn heard(&mut self) {
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        self.looks_left = LOOKS;
    }

    /// Whether to look again soon.
    pub fn is_looking(&self) -> bool {
        self.looks_left > 0
    }

    /// Whether a process was killed for memory, as far as that was heard of.
    pub fn sees_kill(&mut self, groups: &Groups) -> bool {
        if self.looks_left == 0 {
            return false;
        }
        self.looks_left -= 1;
        groups.ran_out_of_memory()
    }
}
