//! The leaf of a host. In the second version a group that has processes cannot pass controllers on
//! to groups below it, so a host that is to make groups moves itself and all others of its group
//! into a leaf beside its parent of groups. The last of its processes that leaves undoes that:
//!
//! ```text
//! place                            passes controllers on, and has no processes
//! ├─ absolute-host-<pid>-<ticks>   the leaf
//! └─ absolute-<pid>-<ticks>        the parent
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid};

use warden::confinement::{Group, Hierarchy};

use crate::clock;
use crate::group_files::{members, path, pause, put};
use crate::tree::{pid_of, stat_of};

/// What the names of a parent and of a leaf begin with; the same follows.
const PARENT_PREFIX: &str = "absolute-";
const LEAF_PREFIX: &str = "absolute-host-";

/// What the names of wardens and keepers begin with.
const NAME_PREFIX: &[u8] = b"abs-";

/// How long another warden or keeper is waited for that leaves at the same time.
const OTHERS_MS: u64 = 200;

/// How often what is in the leaf is moved: processes that it makes meanwhile are in it, too.
const MOVES_MAX: usize = 20;

/// A leaf, and the group above it.
struct Leaf {
    place: PathBuf,
    path: PathBuf,
    /// The host's pid and its start in clock ticks.
    host: Option<(u32, u64)>,
}

/// Undoes the leaf beside a parent that is gone, if there is one and no other warden or keeper is
/// in it.
pub fn undo(parent: &Group) {
    let Some(leaf) = Leaf::beside(parent) else { return };
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

    /// Whether no other warden or keeper is in the leaf. Of several that leave at once the one with
    /// the highest pid waits for the others.
    fn is_left_to_us(&self) -> bool {
        let due_ms = clock::now_ms() + OTHERS_MS;
        loop {
            let others = self.others();
            if others.is_empty() {
                return true;
            }
            let number = |pid: &Pid| pid.as_raw_pid();
            let is_last = others.iter().map(number).max() < Some(number(&getpid()));
            if !is_last || clock::now_ms() >= due_ms {
                return false;
            }
            pause(2);
        }
    }

    fn others(&self) -> Vec<Pid> {
        let is_other = |pid: &Pid| {
            let name = fs::read(format!("{}/comm", pid.as_raw_pid())).unwrap_or_default();
            *pid != getpid() && name.starts_with(NAME_PREFIX)
        };
        members(&self.path).into_iter().filter(is_other).collect()
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
        for _ in 0..MOVES_MAX {
            let members = members(&self.path);
            if members.is_empty() {
                break;
            }
            members.into_iter().for_each(|member| move_to(&self.place, member));
        }
        let _ = rustix::fs::rmdir(&self.path);
    }
}

fn move_to(group: &Path, process: Pid) {
    let _ = put(&group.join("cgroup.procs"), process.as_raw_pid().to_string().as_bytes());
}
