//! The groups above those of tenants. There is one in each hierarchy for each host; the warden
//! makes it when a tenant first needs it, and removes it when it leaves.

use std::fs;
use std::path::{Path, PathBuf};

use warden::confinement::{Group, Hierarchy};
use warden::names;

use rustix::process::{Pid, getpid};

use crate::clock;
use crate::group_files::{make_directory, path, pause, put, remove, remove_soon};
use crate::leaf;

/// How long keepers without a warden may need to end their trees.
const KEEPERS_MS: u64 = 1_000;

/// The parents that were prepared so far, each with the controllers that the groups below it have.
#[derive(Default)]
pub struct Parents {
    known: Vec<(Group, Vec<String>)>,
}

impl Parents {
    /// Makes the parents that are missing, and gives the groups below them the controllers that
    /// their settings need. What fails here shows when the group is made.
    pub fn prepare(&mut self, groups: &[Group]) {
        for group in groups {
            let was_made = make_directory(path(group)).is_ok();
            let is_other = |(known, _): &(Group, _)| known.parent != group.parent;
            if was_made {
                // One that another warden of the host had removed has no controllers any more.
                self.known.retain(is_other);
            }
            if self.known.iter().all(is_other) {
                self.known.push((group.clone(), Vec::new()));
                if group.hierarchy == Hierarchy::V1 {
                    prepare_v1(path(group));
                }
            }
            let known = self.known.iter_mut().find(|(known, _)| known.parent == group.parent);
            if let (Some((_, enabled)), Hierarchy::V2) = (known, group.hierarchy) {
                enable(group, enabled);
            }
        }
    }

    /// Removes the groups that are left of tenants of this warden's, and of those of wardens that
    /// were killed; then the parents, as far as there is no other group in them, and leaves.
    pub fn leave(&self) {
        let now_ms = clock::now_ms();
        for (parent, group, warden) in self.left() {
            // The keepers of one that was killed may be about to remove it.
            while warden != getpid() && group.exists() && clock::now_ms() < now_ms + KEEPERS_MS {
                pause(10);
            }
            remove_soon(|due_ms| remove(parent.hierarchy, &group, due_ms));
        }
        remove_empty(self.known.iter().map(|(parent, _)| parent));
        self.known.iter().for_each(|(parent, _)| leaf::undo(parent));
    }

    /// The groups that no living warden has the care of but this one, each with its warden.
    fn left(&self) -> Vec<(&Group, PathBuf, Pid)> {
        let groups_in = |parent: &Group| -> Vec<PathBuf> {
            let entries = fs::read_dir(path(parent)).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect()
        };
        let of = |group: &PathBuf| warden_of(group.file_name()?.to_str()?);
        self.known
            .iter()
            .flat_map(|(parent, _)| groups_in(parent).into_iter().map(move |group| (parent, group)))
            .filter_map(|(parent, group)| of(&group).map(|warden| (parent, group, warden)))
            .filter(|(_, _, warden)| *warden == getpid() || !is_warden(*warden))
            .collect()
    }
}

/// The number of a group: of this process, and no other warden's.
pub fn number(count: u32) -> u64 {
    names::group(getpid().as_raw_pid().cast_unsigned(), count)
}

fn warden_of(group: &str) -> Option<Pid> {
    Pid::from_raw(i32::try_from(names::warden_of_group(group)?).ok()?)
}

fn is_warden(pid: Pid) -> bool {
    fs::read(format!("{}/comm", pid.as_raw_pid())).is_ok_and(|name| name == b"abs-warden\n")
}

/// Removes parents that no group is in.
pub fn remove_empty<'a>(groups: impl Iterator<Item = &'a Group>) {
    for group in groups {
        let _ = rustix::fs::rmdir(path(group));
    }
}

/// Enables the controllers of the settings' files, each by itself: one that is missing leaves the
/// others.
fn enable(group: &Group, enabled: &mut Vec<String>) {
    for setting in &group.settings {
        let Some((controller, _)) = setting.to_str().ok().and_then(|it| it.split_once('.')) else {
            continue;
        };
        let is_core = controller == "cgroup";
        if !is_core && !enabled.iter().any(|known| known == controller) {
            let file = path(group).join("cgroup.subtree_control");
            if put(&file, format!("+{controller}").as_bytes()).is_ok() {
                enabled.push(controller.to_owned());
            }
        }
    }
}

/// Limits hold for groups that tenants make below theirs, which older kernels have to be told; and
/// all tenants together weigh as much as the machine has cores, not as one process.
fn prepare_v1(parent: &Path) {
    let _ = put(&parent.join("memory.use_hierarchy"), b"1");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let _ = put(&parent.join("cpu.shares"), (cores * 1024).to_string().as_bytes());
}
