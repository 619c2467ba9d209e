//! The leaf of a host. In the second version a group that has processes cannot pass controllers on
//! to groups below it, so a host that is to make groups moves itself and all others of its group
//! into a leaf beside its parent of groups. The last of its processes that leaves undoes that, and
//! the last of a later host's if it was killed with its warden:
//!
//! ```text
//! place                            passes controllers on, and has no processes
//! ├─ absolute-host-<host>          the leaf
//! └─ absolute-<host>               the parent
//! ```

use std::ffi::CStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::{Pid, getpid};

use warden::HostId;
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

/// The leaves beside a parent that have no other host to undo them: that of the parent's host, and
/// those of hosts that are gone. A host that is started in the leaf of one that was killed with its
/// warden uses the group above it, and makes no leaf of its own.
struct Leaves {
    place: PathBuf,
    /// The host whose parent it is.
    host: Option<HostId>,
    leaves: Vec<Leaf>,
}

struct Leaf {
    path: PathBuf,
}

/// Undoes the leaves beside a parent that is gone, if there are some and no other warden or keeper
/// is in them. Those that leave at the same time do so one after the other, and the last one finds
/// that it is alone.
pub fn undo(parent: &Group) {
    if let Some(leaves) = Leaves::beside(parent) {
        leaves.undo(parent);
    }
}

/// The same for a keeper without a warden: a host that lives gets another warden.
pub fn undo_without_host(parent: &Group) {
    let Some(leaves) = Leaves::beside(parent) else { return };
    if leaves.host.is_some_and(|host| !lives(host)) {
        leaves.undo(parent);
    }
}

/// A host of another PID namespace counts as alive.
fn lives(host: HostId) -> bool {
    let stat = || pid_of(host.pid).and_then(stat_of);
    !host.can_be_judged()
        || stat().is_some_and(|stat| stat.started_at_ticks == host.started_at_ticks)
}

fn groups_in(place: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.map(|entry| entry.path())
}

impl Leaves {
    fn beside(parent: &Group) -> Option<Leaves> {
        if parent.hierarchy != Hierarchy::V2 {
            return None;
        }
        let (place, name) = (path(parent).parent()?, path(parent).file_name()?.to_str()?);
        let id = name.strip_prefix(PARENT_PREFIX)?;
        let has_no_other_host = |group: &PathBuf| {
            let name = group.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_prefix(LEAF_PREFIX))
                .is_some_and(|of| of == id || HostId::parse(of).is_some_and(|host| !lives(host)))
        };
        let mut paths: Vec<PathBuf> = groups_in(place).filter(has_no_other_host).collect();
        // All take the locks in the same order.
        paths.sort();
        let leaves: Vec<Leaf> = paths.into_iter().map(|path| Leaf { path }).collect();
        let (place, host) = (place.to_owned(), HostId::parse(id));
        (!leaves.is_empty()).then_some(Leaves { place, host, leaves })
    }

    fn undo(&self, parent: &Group) {
        let locks: Option<Vec<OwnedFd>> = self.leaves.iter().map(Leaf::lock).collect();
        if locks.is_none() {
            return;
        }
        let _ = rustix::thread::set_name(LEAVING);
        if path(parent).exists() || !self.leaves.iter().all(Leaf::is_left_to_us) {
            return;
        }
        // Nothing but the leaves needs the controllers.
        if groups_in(&self.place).all(|group| self.leaves.iter().any(|leaf| leaf.path == group)) {
            self.take_controllers_back();
            self.leaves.iter().for_each(|leaf| leaf.undo(&self.place));
        }
    }

    fn take_controllers_back(&self) {
        let control = self.place.join("cgroup.subtree_control");
        let enabled = fs::read_to_string(&control).unwrap_or_default();
        for controller in enabled.split_ascii_whitespace() {
            let _ = put(&control, format!("-{controller}").as_bytes());
        }
    }
}

impl Leaf {
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

    /// Moves all that is in the leaf to where it came from, and removes it.
    fn undo(&self, place: &Path) {
        // Processes that it makes meanwhile are in it, too, and one that is about to end can be
        // moved no more: its end is waited for.
        remove_soon(|_| {
            members(&self.path).into_iter().for_each(|member| move_to(place, member));
            rustix::fs::rmdir(&self.path).is_ok()
        });
    }
}

fn move_to(group: &Path, process: Pid) {
    let _ = put(&group.join("cgroup.procs"), process.as_raw_pid().to_string().as_bytes());
}
