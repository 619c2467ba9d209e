//! The groups above those of tenants. There is one in each hierarchy for each host; the warden
//! makes it when a tenant first needs it, and removes it when it leaves.

use std::fs;
use std::path::Path;

use rustix::fs::Mode;

use warden::confinement::{Group, Hierarchy};

use crate::group::{self, path, put};
use crate::leaf;

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
            let was_made = rustix::fs::mkdir(path(group), Mode::from_raw_mode(0o755)).is_ok();
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

    /// Removes the groups of tenants that could not be removed earlier, whose names begin with
    /// this warden's number, and the parents, as far as there is no other group in them.
    pub fn leave(&self, is_own: impl Fn(u64) -> bool) {
        for (parent, _) in &self.known {
            for entry in fs::read_dir(path(parent)).into_iter().flatten().flatten() {
                let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
                if number.is_some_and(&is_own) {
                    group::remove(parent.hierarchy, &entry.path());
                }
            }
        }
        remove_empty(self.known.iter().map(|(parent, _)| parent));
        self.known.iter().for_each(|(parent, _)| leaf::undo(parent));
    }
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
