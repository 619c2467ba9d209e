//! The leaf of a host. In the second version a group that has processes cannot pass controllers on
//! to groups below it, so a host that is to make groups moves itself and all others of its group
//! into a leaf beside its parent of groups. The last of its processes that leaves undoes that:
//!
//! ```text
//! place                            passes controllers on, and has no processes
//! ├─ absolute-host-<pid>-<ticks>   the leaf
//! └─ absolute-<pid>-<ticks>        the parent
//! ```

use std::ffi::CStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::{Pid, getpid};

use warden::confinement::{Group, Hierarchy};

use crate::clock;
use crate::group_files::{members, path, pause, put, remove_soon};
use crate::tree::{pid_of, stat_of};

/// What the names of a parent and of a leaf begin with; the same follows.
const PARENT_PREFIX: &str = "absolute-";
const LEAF_PREFIX: &str = "absolute-host-";

/// What the names of wardens and keepers begin with.
const NAME_PREFIX: &[u8] = b"abs-";

/// The name of one that leaves, and of a process that it leaves behind to remove what takes long:
/// those that leave after it do not count it any more.
pub const LEAVING: &CStr = c"abs.leaving";

/// How long the lock of a leaf is waited for. It is held for moments, unless a stranger that may
/// read the directory keeps it: then the leaf stays for the next host.
const LOCK_MS: u64 = 1_000;

/// A leaf, and the group above it.
struct Leaf {
    place: PathBuf,
    path: PathBuf,
    /// The host's pid and its start in clock ticks.
    host: Option<(u32, u64)>,
}

/// Undoes the leaf beside a parent that is gone, if there is one and no other warden or keeper is
/// in it. Those that leave at the same time do so one after the other, and the last one finds that
/// it is alone.
pub fn undo(parent: &Group) {
    let Some(leaf) = Leaf::beside(parent) else { return };
    let Some(_lock) = leaf.lock() else { return };
    let _ = rustix::thread::set_name(LEAVING);
    if !path(parent).exists() && leaf.is_left_to_us() && leaf.has_no_sibling() {
        leaf.undo();
    }
}

/// The same for a keeper without a warden: a host that lives gets another warden.
pub fn undo_without_host(parent: &Group) {
    let Some(leaf) = Leaf::beside(parent) else { return };
    let lives = |(pid, ticks)| {
        pid_of(pid).and_then(stat_of).is_some_and(|stat| stat.started_at_ticks == ticks)
    };
    if leaf.host.is_some_and(|host| !lives(host)) {
        undo(parent);
    }
}

impl Leaf {
    fn beside(parent: &Group) -> Option<Leaf> {
        if parent.hierarchy != Hierarchy::V2 {
            return None;
        }
        let (place, name) = (path(parent).parent()?, path(parent).file_name()?.to_str()?);
        let id = name.strip_prefix(PARENT_PREFIX)?;
        let host = id
            .split_once('-')
            .and_then(|(pid, ticks)| Some((pid.parse().ok()?, ticks.parse().ok()?)));
        let leaf = place.join(format!("{LEAF_PREFIX}{id}"));
        leaf.is_dir().then(|| Leaf { place: place.to_owned(), path: leaf, host })
    }

    /// The lock, which goes with the descriptor.
    fn lock(&self) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let leaf = rustix::fs::open(&self.path, flags, Mode::empty()).ok()?;
        let due_ms = clock::now_ms() + LOCK_MS;
        while flock(&leaf, FlockOperation::NonBlockingLockExclusive).is_err() {
            if clock::now_ms() >= due_ms {
                return None;
            }
            pause(1);
        }
        Some(leaf)
    }

    /// Whether no other warden or keeper is in the leaf that has yet to leave it.
    fn is_left_to_us(&self) -> bool {
        members(&self.path).into_iter().all(|pid| {
            let name = fs::read(format!("{}/comm", pid.as_raw_pid())).unwrap_or_default();
            pid == getpid() || !name.starts_with(NAME_PREFIX)
        })
    }

    /// Whether nothing but the leaf needs the controllers.
    fn has_no_sibling(&self) -> bool {
        let entries = fs::read_dir(&self.place).into_iter().flatten().flatten();
        let mut groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        groups.all(|group| group.path() == self.path)
    }

    /// Takes the controllers back, and moves all that is in the leaf to where it came from.
    fn undo(&self) {
        let control = self.place.join("cgroup.subtree_control");
        let enabled = fs::read_to_string(&control).unwrap_or_default();
        for controller in enabled.split_ascii_whitespace() {
            let _ = put(&control, format!("-{controller}").as_bytes());
        }
        // Processes that it makes meanwhile are in it, too, and one that is about to end can be
        // moved no more: its end is waited for.
        remove_soon(|_| {
            members(&self.path).into_iter().for_each(|member| move_to(&self.place, member));
            rustix::fs::rmdir(&self.path).is_ok()
        });
    }
}

fn move_to(group: &Path, process: Pid) {
    let _ = put(&group.join("cgroup.procs"), process.as_raw_pid().to_string().as_bytes());
}
